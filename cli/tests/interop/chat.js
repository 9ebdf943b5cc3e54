// A client by the npm package ws: sends each line of standard input behind the answer to the one before, prints the answers, and closes.
const { WebSocket } = require("ws");

const lines = require("fs").readFileSync(0, "utf8").trimEnd().split("\n");
const socket = new WebSocket(process.argv[2], { perMessageDeflate: true });
const next = () => (lines.length ? socket.send(lines.shift()) : socket.close(1000));
socket.on("open", next);
socket.on("message", (data) => {
  console.log(data.toString());
  next();
});
socket.on("close", (code) => process.exit(code === 1000 ? 0 : 1));
