import { render } from "preact";
import { App } from "./app.tsx";
import { connect } from "./live/connection.ts";

const root = document.getElementById("app");
if (root !== null) {
  connect();
  render(<App />, root);
}
