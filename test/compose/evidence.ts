/**
 * Asked within the stack's network: what the logs say of a repository, judged by the rules of the fault tests, once all
 * is done: what a killed coordinator had taken is another's only later. Prints JSON: `{ faults, builds: [{ commit, outcome }] }`.
 */
import { connectJet } from "../../kit/jetstream.ts";
import { pushSubject } from "../../protocol/subjects.ts";
import { faultsIn } from "../fault/random/check.ts";
import { leftToDo } from "../fault/random/left.ts";
import { readTruth } from "../fault/random/truth.ts";
import { until } from "../support/until.ts";

const [url = "", repository = ""] = process.argv.slice(2);
await using jet = await connectJet({ url, name: "test" });
await until("nothing to be left to do", async () => (await leftToDo(jet)) === "", { withinMs: 120_000, everyMs: 500 });
const truth = await readTruth(jet);
const keys = (truth.pushes.get(pushSubject(repository))?.entries ?? []).map(({ event }) => event.key);
// What deployments did to the world is seen by the fault tests alone.
const lanes = new Map([...truth.lanes].filter(([, lane]) => lane.id.repository === repository));
const faults = faultsIn({ truth: { ...truth, lanes }, deeds: [], pushed: new Map([[repository, keys]]) });
const builds = truth.summaries
  .filter((one) => one.repository === repository)
  .map(({ commit, outcome, message }) => ({ commit, outcome, message }));
process.stdout.write(JSON.stringify({ faults, builds }));
