/** A process that starts an EC2-compatible server, prints its pid, and holds it until it is killed. */
import { Ec2Server } from "./ec2.ts";

const server = await Ec2Server.start();
console.log(server.pid);
