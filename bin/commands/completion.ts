import { z } from "zod";
import { EXIT, usageError } from "../exit.ts";
import { SCRIPTS } from "../text/completion-scripts.ts";
import { verb } from "../verb.ts";

export const completion = verb({
  usage: "completion <shell>",
  summary: "print what makes bash, zsh or fish complete commands, builds and environments",
  more: "What is there is asked of the coordinator; without one, commands and flags are completed.",
  examples: [
    "source <(toroid completion bash)           (in ~/.bashrc)",
    "source <(toroid completion zsh)            (in ~/.zshrc, behind compinit)",
    "toroid completion fish | source            (in ~/.config/fish/config.fish)",
  ],
  flags: [],
  options: z.object({}),
  async run({ json, out }, [shell = ""]) {
    const script = SCRIPTS[shell];
    if (script === undefined) throw usageError(`no completion for ${JSON.stringify(shell)}: bash, zsh or fish`);
    if (json) throw usageError("a script for a shell has no --json");
    await out(script);
    return EXIT.ok;
  },
});
