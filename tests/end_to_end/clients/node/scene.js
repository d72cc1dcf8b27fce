// Usage: node scene.js HOST:PORT PROTO_FOLDER. Plays one scene against a running server and prints what it got as JSON.
"use strict";

const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [address, protoFolder] = process.argv.slice(2);
const names = ["scoring", "signals", "campaigns", "labels", "models"];
const definition = loader.loadSync(
  [
    ...names.map((name) => path.join(protoFolder, "gatehouse/risk/v1", `${name}.proto`)),
    path.join(protoFolder, "google/rpc/error_details.proto"),
  ],
  { includeDirs: [protoFolder], keepCase: true, longs: String, enums: String, oneofs: true },
);
const { v1 } = grpc.loadPackageDefinition(definition).gatehouse.risk;
const credentials = grpc.credentials.createInsecure();
const options = { "grpc.enable_http_proxy": 0 };
const scoring = new v1.ScoringService(address, credentials, options);
const signals = new v1.SignalService(address, credentials, options);
const campaigns = new v1.CampaignService(address, credentials, options);

const run = `node-${process.pid}-${Date.now()}`;
const milliseconds = Date.now();
const now = { seconds: Math.floor(milliseconds / 1000), nanos: (milliseconds % 1000) * 1e6 };

function signup(account, more) {
  return {
    request_id: `${run}-${account}`,
    account_id: `${run}-${account}`,
    purpose: "PURPOSE_SIGNUP",
    signup: { created_at: now, email: `${account}@example.com`, ip: "203.0.113.9", country: "DE", ...more },
  };
}

function call(client, method, request) {
  return new Promise((resolve) => {
    const deadline = new Date(Date.now() + 30000);
    client[method](request, { deadline }, (error, response) => resolve(error ? failure(error) : response));
  });
}

// The details travel as one google.rpc.Status in a binary trailer, which no client unpacks by itself.
function failure(error) {
  const [packed] = error.metadata.get("grpc-status-details-bin");
  const status = packed ? definition["google.rpc.Status"].deserialize(packed) : { details: [] };
  const fields = status.details
    .filter((detail) => detail.type_url.endsWith("google.rpc.BadRequest"))
    .flatMap((detail) => definition["google.rpc.BadRequest"].deserialize(detail.value).field_violations)
    .map((violation) => violation.field);
  return { code: grpc.status[error.code], message: error.details, fields };
}

function scoreStream(requests) {
  return new Promise((resolve, reject) => {
    const answers = {};
    const stream = scoring.ScoreAccounts({ deadline: new Date(Date.now() + 30000) });
    stream.on("data", (answer) => {
      answers[answer.request_id.slice(run.length + 1)] = answer.result;
    });
    stream.on("error", reject);
    stream.on("end", () => resolve(answers));
    requests.forEach((request) => stream.write(request));
    stream.end();
  });
}

function record(events) {
  return new Promise((resolve, reject) => {
    const stream = signals.RecordSignals((error, response) => (error ? reject(error) : resolve(response)));
    events.forEach((event) => stream.write(event));
    stream.end();
  });
}

function usage(name, more) {
  return {
    event_id: `${run}-${name}`,
    account_id: `${run}-ada`,
    happened_at: now,
    usage: { input_tokens: "120", output_tokens: "40", status: "USAGE_STATUS_OK", ...more },
  };
}

async function main() {
  const scored = await call(scoring, "ScoreAccount", { ...signup("ada"), explain: true });
  const again = await call(scoring, "ScoreAccount", { ...signup("ada"), explain: true });
  const found = await call(scoring, "GetAssessment", { assessment_id: scored.assessment?.assessment_id });
  const invalid = await call(scoring, "ScoreAccount", signup("bad", { ip: "not an address" }));
  const unknown = await call(scoring, "ScoreAccount", { ...signup("nobody"), signup: undefined });
  const stream = await scoreStream([signup("bob"), signup("cyd", { country: "Germany" }), signup("dan")]);
  const recorded = await record([
    usage("u1", { prompt_prefix_hash: "18446744073709551615", prompt_simhash: "9223372036854775808" }),
    usage("u1", { prompt_prefix_hash: "18446744073709551615", prompt_simhash: "9223372036854775808" }),
    usage("u2", { input_tokens: "-1" }),
  ]);
  const missing = await call(campaigns, "GetCampaign", { campaign_id: "no-such-ring" });
  const listed = await call(scoring, "ListAssessments", { account_id: `${run}-ada` });
  console.log(
    JSON.stringify({ run, scored, again, found, invalid, unknown, stream, recorded, missing, listed }),
  );
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
