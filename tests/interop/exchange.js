// What a WebSocket of JavaScript and the echo server say to each other; the same in a browser and in Node.js.

/** Runs every exchange; resolves to [name, what went wrong or null] of each, and stops at the first that went wrong. */
async function exchanges(WebSocket, url, compressed = false) {
  const results = [];
  const step = async (name, run) => {
    if (results.some(([, problem]) => problem)) return;
    try {
      results.push([name, (await run()) ? null : "another answer"]);
    } catch (error) {
      results.push([name, String(error)]);
    }
  };

  const socket = new WebSocket(url, ["first", "second"]);
  socket.binaryType = "arraybuffer";
  const next = (type) => new Promise((resolve, reject) => {
    socket.addEventListener(type, resolve, { once: true });
    socket.addEventListener(type === "close" ? "error" : "close", () => reject(`no ${type}`), { once: true });
  });
  const echo = (message) => {
    const answer = next("message");
    socket.send(message);
    return answer.then((event) => event.data);
  };
  const echoBytes = async (length) => {
    const sent = Uint8Array.from({ length }, (_, i) => (i * 31) >> 3);
    const got = new Uint8Array(await echo(sent));
    return got.length === length && got.every((byte, i) => byte === sent[i]);
  };

  await step("open, first subprotocol", async () => (await next("open")) && socket.protocol === "first");
  await step("compression as asked", async () => socket.extensions.includes("permessage-deflate") === compressed);
  await step("text", async () => (await echo("grüße, 世界 🌍")) === "grüße, 世界 🌍");
  await step("empty text", async () => (await echo("")) === "");
  await step("binary", () => echoBytes(256));
  await step("1 MiB", () => echoBytes(1 << 20));
  await step("16 MiB", () => echoBytes(16 << 20));
  await step("clean close", async () => {
    const closed = next("close");
    socket.close(4001, "done");
    const { code, wasClean } = await closed;
    return wasClean && code === 4001;
  });
  return results;
}

if (typeof module !== "undefined") module.exports = exchanges;
