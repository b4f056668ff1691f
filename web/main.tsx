import { render } from "preact";
import { App } from "./app.tsx";
import { connect } from "./live/connection.ts";
import { followMe, isShutOut, learnMe, me } from "./live/me.ts";

const root = document.getElementById("app");
if (root !== null) {
  // Whoever has to sign in first would be refused everything else. An error shows with what is asked for next.
  await learnMe().catch(() => undefined);
  if (!isShutOut(me.get())) connect();
  followMe();
  render(<App />, root);
}
