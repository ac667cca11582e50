// A page of the conformance server's contract, for what becomes of it when the contract changes: see `page.test.ts`.

import { connect } from "@wirelark/client";
import { rpc } from "./generated/conformance.js";

const session = connect(rpc, { url: "/rpc" });

export async function Page() {
  const echoed = await session.call.echo({ text: "hello" });
  const { sum } = await session.call.add({ a: 1, b: 2 });
  session.send.nudge({ x: 1 });
  session.on("itemsChanged", (items) => items.map((item) => item.n.toFixed()));
  session.on("tick", ({ n }) => n.toFixed());
  return (
    <p>
      {echoed.text.trim()} {sum.toFixed()}
    </p>
  );
}
