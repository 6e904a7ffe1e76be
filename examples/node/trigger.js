// Trigger a job of Settle from Node.js, follow it, and wait for it.
//
//   BROKER_URL=redis://… node trigger.js WORKFLOW JOB_ID '{"json": "arguments"}'
"use strict";

const celery = require("celery-node");

const BROKER = process.env.BROKER_URL;
const BACKEND = process.env.RESULT_URL || BROKER;

// Not `client.sendTask(…)`: it does not wait for Redis, so a lost connection would be a lost trigger without an error.
// This resolves when the message is in Redis. If it rejects, call it again with the same id: it is one job.
async function trigger(client, workflow, jobId, kwargs) {
  await client.isReady();
  const { body, headers, properties } = client.createTaskMessage(jobId, `settle.${workflow}`, [], kwargs);
  const named = { ...properties, correlation_id: jobId, priority: 0 }; // it writes correlationId, which is not the name
  await client.broker.publish(body, "", client.conf.CELERY_QUEUE, headers, named);
  return client.asyncResult(jobId);
}

// Not `result.get()`: it polls for ever when Redis is away, and its error says only "FAILURE".
async function wait(client, jobId, { timeout = 600_000, interval = 200, onState = () => {} } = {}) {
  const end = Date.now() + timeout;
  for (let before = ""; Date.now() < end; ) {
    const meta = await client.backend.getTaskMeta(jobId);
    if (meta && meta.status !== before) onState((before = meta.status), meta.result);
    if (meta && meta.status === "SUCCESS") return meta.result;
    if (meta && meta.status === "FAILURE") {
      const { state, error } = meta.outcome; // state: failed, expired or cancelled
      throw Object.assign(new Error(`${state}: ${error.message}`), { state, kind: error.kind, remedy: error.remedy });
    }
    await new Promise((resolve) => setTimeout(resolve, interval));
  }
  throw new Error(`${jobId} has not ended yet; it goes on`);
}

async function main([workflow, jobId, kwargs]) {
  const client = celery.createClient(BROKER, BACKEND);
  try {
    await trigger(client, workflow, jobId, JSON.parse(kwargs));
    const outcome = await wait(client, jobId, { onState: (state) => console.log(state) });
    console.log(JSON.stringify(outcome));
  } catch (error) {
    console.log(error.message, error.kind || "", error.remedy || "");
    process.exitCode = 1;
  } finally {
    await client.disconnect();
  }
}

if (require.main === module) main(process.argv.slice(2));

module.exports = { trigger, wait };
