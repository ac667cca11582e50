// Socket.IO, as its documentation shows it: `echo` goes back to its sender, `fan` to everybody, and
// `call` is answered with an acknowledgement once its argument has been checked.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { listen } from "./listen.js";

const server = createServer();
const io = new Server(server, { perMessageDeflate: false });

io.on("connection", (socket) => {
  socket.on("echo", (text) => socket.emit("echo", text));
  socket.on("fan", (text) => io.emit("fan", text));
  socket.on("call", (argument, acknowledge) => {
    if (typeof argument?.text === "string") acknowledge({ text: argument.text });
    else acknowledge({ error: "text is a string" });
  });
});

listen(server);
