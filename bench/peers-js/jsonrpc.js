// JSON-RPC 2.0 by hand: one method, its argument checked. Batches and notifications are left out.

const methods = {
  echo(params) {
    if (typeof params?.text !== "string") throw new TypeError("text is a string");
    return { text: params.text };
  },
};

/** The answer to the text of a message. */
export function answer(message) {
  let call;
  try {
    call = JSON.parse(message);
  } catch {
    return failure(null, -32700, "Parse error");
  }
  if (call?.jsonrpc !== "2.0") return failure(null, -32600, "Invalid Request");
  if (!Object.hasOwn(methods, call.method)) return failure(call.id, -32601, "Method not found");
  try {
    return JSON.stringify({ jsonrpc: "2.0", id: call.id, result: methods[call.method](call.params) });
  } catch (error) {
    return failure(call.id, -32602, `Invalid params: ${error.message}`);
  }
}

function failure(id, code, message) {
  return JSON.stringify({ jsonrpc: "2.0", id, error: { code, message } });
}
