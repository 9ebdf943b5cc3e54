// Echoes by the npm package ws: `node.js [CERTIFICATE KEY]`; prints its address first.
const { readFileSync } = require("fs");
const { WebSocketServer } = require("ws");

const [cert, key] = process.argv.slice(2).map((file) => readFileSync(file));
const server = cert ? require("https").createServer({ cert, key }) : require("http").createServer();
new WebSocketServer({ server, perMessageDeflate: true }).on("connection", (socket) => {
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  socket.on("error", () => {}); // the close frame says it
});
server.listen(0, "127.0.0.1", () => console.log(`127.0.0.1:${server.address().port}`));
