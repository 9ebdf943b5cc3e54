// The npm package ws: `node.js URL` exchanges with the chat and prints the results as JSON.
const { WebSocket } = require("ws");
const exchanges = require("./chat.js");

exchanges(WebSocket, process.argv[2]).then((results) => {
  console.log(JSON.stringify(results));
  process.exit();
});
