/** A process that starts the nats-server it is given on a directory, prints its pid, and holds it until it is killed. */
import { startNatsServer } from "../../kit/nats-server.ts";

const [binary = "", storeDir = ""] = process.argv.slice(2);
const server = await startNatsServer({ binary, storeDir, host: "127.0.0.1", port: 0, syncAlways: false });
console.log(server.pid);
await server.exited;
