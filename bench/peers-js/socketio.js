// Socket.IO, as its documentation shows it: `echo` goes back to its sender, `fan` to everybody.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { listen } from "./listen.js";

const server = createServer();
const io = new Server(server, { perMessageDeflate: false });

io.on("connection", (socket) => {
  socket.on("echo", (text) => socket.emit("echo", text));
  socket.on("fan", (text) => io.emit("fan", text));
});

listen(server);
