/** The shell that waits in the workspace which becomes the image, and runs what Packer wants run. Pure: text. */

/** Where that workspace sees the pipes. */
export const EXCHANGE_DIR = "/toroid/exchange";

/**
 * A shell and nothing else, for an image need have nothing else. The pipes lie in a directory that cannot be changed from
 * in here; who asks has opened them all before, so that no opening waits. It ends when nobody can ask any more.
 */
export function agentText(): string {
  return `# Made by Toroid: runs what Packer wants run in this image.
serve() {
  exec <"$1/stdin" >"$1/stdout" 2>"$1/stderr" 3>"$1/status"
  echo started >&3
  (cd "$HOME" 2>/dev/null || cd /; exec /bin/sh "$1/command" 3>&-)
  echo "ended $?" >&3
}
while IFS= read -r number; do
  serve ${EXCHANGE_DIR}/"$number" &
done <${EXCHANGE_DIR}/requests
`;
}
