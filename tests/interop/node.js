// The npm package ws: `node.js client URL` exchanges with an echo server and prints the results as JSON;
// `node.js server` echoes, and prints its URL first; `node.js echo URL` connects again and again, and echoes.
const { WebSocket, WebSocketServer } = require("ws");
const exchanges = require("./exchange.js");

const [mode, url, compressed] = process.argv.slice(2);
if (mode === "client") {
  exchanges(WebSocket, url, compressed === "True").then((results) => {
    console.log(JSON.stringify(results));
    process.exit();
  });
} else if (mode === "echo") {
  const connect = () => {
    const socket = new WebSocket(url, { perMessageDeflate: compressed === "True", maxPayload: 64 << 20 });
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
    socket.on("error", () => {});
    socket.on("close", connect);
  };
  connect();
} else {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: true, maxPayload: 64 << 20 });
  server.on("listening", () => console.log(`ws://127.0.0.1:${server.address().port}`));
  server.on("connection", (socket) => {
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
    socket.on("error", () => {}); // the close frame says it
  });
}
