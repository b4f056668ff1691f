import { writeFileSync } from "node:fs";
import { jsonSchemaText } from "./json-schema.ts";

// `npm run schema`: writes the JSON Schema beside this file.
writeFileSync(new URL("toroid.schema.json", import.meta.url), jsonSchemaText());
