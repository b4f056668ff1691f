#!/usr/bin/env node
/** The command line: a table of commands, a file each, and what all of them have in common. */
import { main } from "./main.ts";

process.exitCode = await main(process.argv.slice(2));
