// What the Node peers share: the command line and the line that says they are ready.

/** Listens where `--listen ADDR:PORT` says; port 0 picks a free one. */
export function listen(server) {
  const { hostname, port } = listenAddress();
  server.on("connection", (socket) => socket.setNoDelay(true));
  server.listen(port, hostname, () => announce(server.address().address, server.address().port));
}

export function listenAddress() {
  const at = process.argv.indexOf("--listen");
  const address = at < 0 ? "127.0.0.1:0" : process.argv[at + 1];
  const [hostname, port] = address.split(":");
  return { hostname, port: Number(port) };
}

export function announce(hostname, port) {
  console.log(`listening on ${hostname}:${port}`);
}
