// Publishes events, one per line: node publish.mjs < events.ndjson    (npm install ioredis)
//
// Lines are sent unchanged, so event_id and occurred_at are the same in every try. If it fails,
// send the same lines again: those that are on the stream already count once.
import { createInterface } from "node:readline";
import { Redis } from "ioredis";

const GROUP = 500; // per round trip: added together and in order, or not at all
const redis = new Redis(process.env.SLIPWAY_REDIS_URL, { maxRetriesPerRequest: 3 });
redis.on("error", () => {}); // errors that matter reject a promise below

async function publish(lines) {
  const group = redis.multi();
  for (const line of lines) group.xadd("ticket-events", "*", "event", line);
  for (const [error] of await group.exec()) if (error) throw error;
  return lines.length;
}

let published = 0;
let group = [];
try {
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim()) group.push(line);
    if (group.length === GROUP) {
      published += await publish(group);
      group = [];
    }
  }
  if (group.length) published += await publish(group);
} catch (error) {
  console.error(`not on the stream: ${error.message}; send the same again`);
  process.exitCode = 1;
} finally {
  redis.disconnect();
}
console.log(`published ${published}`);
