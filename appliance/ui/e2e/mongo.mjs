// Real mongods and what stands in them: the sources and the restored copies of the end-to-end test.
import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { MongoClient } from "mongodb";
import { free, until } from "./appliance.mjs";

const ANSWER_MS_MAX = 60_000;
const STOP_MS_MAX = 30_000;

/** A client of a whole replica set, or of one server alone. */
export async function connect(uri) {
  const client = new MongoClient(uri, { serverSelectionTimeoutMS: ANSWER_MS_MAX });
  await client.connect();
  return client;
}

/** A mongod on a dbpath; with `replSet` it becomes the primary of a set of its own. `stop` ends it. */
export async function startMongod(dbpath, { replSet, options = [] } = {}) {
  const program = process.env.MONGOD;
  if (!program) throw new Error("MONGOD names no mongod");
  await mkdir(dbpath, { recursive: true });
  const port = await free();
  const args = ["--dbpath", dbpath, "--port", String(port), "--bind_ip", "127.0.0.1", "--logpath", join(dbpath, "log")];
  args.push("--unixSocketPrefix", dbpath, "--wiredTigerCacheSizeGB", "0.25", ...options);
  if (replSet) args.push("--replSet", replSet);
  const mongod = spawn(program, args, { stdio: "ignore" });
  let ended = false;
  const exit = new Promise((resolve) =>
    mongod.once("exit", () => {
      ended = true;
      resolve();
    }),
  );
  const stop = async () => {
    if (!ended) mongod.kill("SIGTERM");
    const late = setTimeout(() => mongod.kill("SIGKILL"), STOP_MS_MAX);
    await exit;
    clearTimeout(late);
  };
  const client = new MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true`, {
    serverSelectionTimeoutMS: 2_000,
  });
  try {
    await until("mongod answers", ANSWER_MS_MAX, async () => {
      if (ended) throw new Error(`mongod ended; see ${join(dbpath, "log")}`);
      return client.db("admin").command({ ping: 1 });
    });
    if (replSet) {
      const members = [{ _id: 0, host: `127.0.0.1:${port}` }];
      await client.db("admin").command({ replSetInitiate: { _id: replSet, members } });
      await until("the set has a primary", ANSWER_MS_MAX, async () => {
        return (await client.db("admin").command({ hello: 1 })).isWritablePrimary;
      });
    }
  } catch (error) {
    await client.close();
    await stop();
    throw error;
  }
  return {
    port,
    client,
    stop: async () => {
      await client.close();
      await stop();
    },
  };
}

/** The sum of every collection of a database, by name: equal sums are equal documents. */
export const sums = async (client, database) => (await client.db(database).command({ dbHash: 1 })).collections;
