/** For a process that is started with it: it is of the next version of the protocol, which the others do not understand. */
import { replaceModules } from "./replace.ts";

replaceModules({ "protocol/versions.ts": new URL("next-version/versions.ts", import.meta.url) });
