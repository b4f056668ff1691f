/**
 * What shells load to complete our commands. They ask `toroid complete -- <words>`, which answers a line for each
 * suggestion, with a tab before what it is about, and a line that begins with a colon. No word is ever evaluated.
 */
export const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `_toroid() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    [[ $line == :* ]] || COMPREPLY+=("\${line%%$'\\t'*}")
  done < <(toroid complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _toroid toroid
`,
  zsh: `#compdef toroid
_toroid() {
  local line
  local -a found
  for line in "\${(@f)$(toroid complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -z $line || $line == :* ]] || found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  _describe toroid found
}
compdef _toroid toroid
`,
  fish: `function __toroid_complete
  set -l words (commandline -opc)
  toroid complete -- $words[2..-1] (commandline -ct) 2>/dev/null | string match -rv '^:'
end
complete -c toroid -f -a '(__toroid_complete)'
`,
};
