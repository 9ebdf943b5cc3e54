// What a WebSocket of JavaScript and the chat say to each other; the same in a browser and in Node.js.

/** Runs every exchange; resolves to [name, what went wrong or null] of each, and stops at the first that went wrong. */
async function exchanges(WebSocket, url) {
  const results = [];
  const step = async (name, run) => {
    if (results.some(([, problem]) => problem)) return;
    try {
      await run();
      results.push([name, null]);
    } catch (error) {
      results.push([name, String(error)]);
    }
  };
  const who = new URL(url).searchParams.get("name");
  const socket = new WebSocket(url);
  const heard = [];
  let wake = () => {};
  let closed = null;
  socket.addEventListener("message", (event) => { heard.push(event.data); wake(); });
  socket.addEventListener("close", (event) => { closed = event; wake(); });
  const until = async (holds) => {
    while (!holds()) await new Promise((resolve) => { wake = resolve; });
  };
  const hears = async (...wanted) => {
    for (const line of wanted) {
      await until(() => heard.length > 0 || closed);
      const got = heard.shift();
      if (got !== line) throw `${got} instead of ${line}`;
    }
  };

  await step("greeting", () => hears(`* hello ${who}, /join a room`));
  await step("rooms", async () => {
    socket.send("/join lobby");
    socket.send("grüße, 世界 🌍");
    socket.send("/leave lobby");
    await hears(`* ${who} joined lobby`, `lobby ${who}: grüße, 世界 🌍`, `* ${who} left lobby`);
  });
  await step("many lines in order", async () => {
    socket.send("/join lobby");
    await hears(`* ${who} joined lobby`);
    for (let i = 0; i < 500; i++) socket.send(`line ${i}`);
    for (let i = 0; i < 500; i++) await hears(`lobby ${who}: line ${i}`);
  });
  await step("clean close", async () => {
    socket.close(4001, "done");
    await until(() => closed);
    if (!closed.wasClean || closed.code !== 4001) throw `closed with ${closed.code}`;
  });
  return results;
}

if (typeof module !== "undefined") module.exports = exchanges;
