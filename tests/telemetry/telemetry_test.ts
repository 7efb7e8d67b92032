import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { SCOPE } from "../../src/telemetry.ts";
import { type MetricName, METRICS, type SpanName, SPANS } from "../../src/telemetry_names.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { type ReceivedSpan, startReceiver } from "./receiver.ts";

/** OTLP's numbers for kinds of spans. */
const KINDS = { server: 2, client: 3, producer: 4, consumer: 5 } as const;
const ERROR = 2;

Deno.test("one trace shows the way from the saver, or the caller of an actor, over NATS to the handler, and every metric is as documented", async () => {
  await using server = await startNatsServer();
  await using receiver = startReceiver();
  const program = fileURLToPath(new URL("./program.ts", import.meta.url));
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--unstable-kv", "--no-check", program, server.url],
    env: {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
      OTEL_METRIC_EXPORT_INTERVAL: "500", // gauges are not read when a program ends
    },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  const [{ request, metadata }, { request: called }] = new TextDecoder().decode(stdout).trim().split("\n")
    .map((line) => JSON.parse(line));

  const trace = receiver.spans.filter(({ traceId }) => traceId === request);
  const find = (name: string): ReceivedSpan => {
    const spans = trace.filter((span) => span.name === name);
    assert.equal(spans.length, 1, `${name}: ${trace.map((span) => span.name).join(", ")}`);
    return spans[0]!;
  };
  const projected = trace.filter(({ name }) => name === "aether.project");
  assert.deepEqual(projected.map(({ attributes }) => attributes["aether.projection"]), [
    "counts",
    "synchronous",
    "lanes",
    "segments",
  ]);
  const way = ["request", "aether.save", "aether.publish", "aether.handle", "work of the handler"].map(find);
  for (const [index, span] of way.entries()) {
    if (index > 0) assert.equal(span.parentSpanId, way[index - 1]!.spanId, `the parent of ${span.name}`);
  }
  assert.equal(metadata.traceparent, `00-${request}-${way[1]!.spanId}-01`, "the event remembers its save");
  assert.deepEqual(way[1]!.attributes, {
    "aether.namespace": "traced",
    "aether.operation": "append",
    "aether.actor_id": "order-1",
    "aether.events": 1,
  });

  for (const span of projected) assert.equal(span.parentSpanId, way[1]!.spanId, "its parent is the save");

  const calls = receiver.spans.filter(({ traceId }) => traceId === called);
  const path = ["actor request", "aether.call", "aether.command", "aether.project"].map((name) => {
    return calls.find((span) => span.name === name) ?? assert.fail(`${name} is not in the trace of a call`);
  });
  for (const [index, span] of path.entries()) {
    if (index > 0) assert.equal(span.parentSpanId, path[index - 1]!.spanId, `the parent of ${span.name}`);
  }

  const own = receiver.spans.filter(({ scope }) => scope === SCOPE);
  assert.deepEqual(new Set(own.map(({ name }) => name)), new Set(Object.keys(SPANS)), "every span is seen");
  for (const { name, kind, attributes } of own) {
    const documented = SPANS[name as SpanName];
    assert.equal(kind, KINDS[documented.kind], name);
    for (const attribute of Object.keys(attributes)) {
      assert((documented.attributes as readonly string[]).includes(attribute), `${name}: ${attribute}`);
    }
  }
  const failed = own.filter(({ status }) => status.code === ERROR);
  assert(failed.some(({ name }) => name === "aether.save"), "a conflict is an error of its span");
  assert(failed.some(({ name }) => name === "aether.project"), "so is what a projection's handler throws");

  const metrics = receiver.metrics.filter(({ scope }) => scope === SCOPE);
  assert.deepEqual(
    new Set(metrics.map(({ name }) => name)),
    new Set(Object.keys(METRICS)),
    "every metric is seen",
  );
  for (const { name, unit, kind, points } of metrics) {
    const documented = METRICS[name as MetricName];
    assert.deepEqual({ unit, kind }, { unit: documented.unit, kind: documented.kind }, name);
    assert(points.length > 0, name);
    if (name === "aether.projection.events") {
      const outcomes = points.map((attributes) => attributes["aether.outcome"]);
      assert.deepEqual(new Set(outcomes), new Set(["handled", "failed", "parked"]));
      const projections = points.map((attributes) => attributes["aether.projection"]);
      assert(projections.includes("lanes") && projections.includes("segments"), projections.join());
    }
    for (const attributes of points) {
      assert.deepEqual(new Set(Object.keys(attributes)), new Set(documented.attributes), name);
    }
  }
});

/** The rows of the tables of a page: the cells of each, without the marks of code. */
function tableRows(page: string): string[][] {
  return page.split("\n").filter((line) => line.startsWith("| `")).map((line) =>
    line.slice(1, -1).split("|").map((cell) => cell.trim().replaceAll("`", ""))
  );
}

Deno.test("src/telemetry.md names what the code names", async () => {
  const page = await Deno.readTextFile(new URL("../../src/telemetry.md", import.meta.url));
  const documented = new Map(tableRows(page).map(([name, ...cells]) => [name!, cells]));
  const expected = new Map<string, string[]>();
  for (const [name, { kind, attributes }] of Object.entries(SPANS)) {
    expected.set(name, [kind, attributes.join(", ")]);
  }
  for (const [name, { kind, unit, attributes }] of Object.entries(METRICS)) {
    expected.set(name, [kind, unit, attributes.join(", ")]);
  }
  assert.deepEqual([...documented.keys()].sort(), [...expected.keys()].sort());
  for (const [name, cells] of expected) assert.deepEqual(documented.get(name)!.slice(0, -1), cells, name);
});

Deno.test("OpenTelemetry is loaded where a provider is registered, and only there", async () => {
  const entry = new URL("../../src/store/memory/mod.ts", import.meta.url).href;
  const source = `
    import { InMemoryEventStore } from ${JSON.stringify(entry)};
    await using store = new InMemoryEventStore();
    const [event] = await store.append("a", [{ eventType: "E", data: 1 }], { expectedVersion: 0 });
    console.log(event.metadata === undefined);
  `;
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, source);
    const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
    const run = async (otel: "true" | "false"): Promise<{ stdout: string; stderr: string }> => {
      const output = await new Deno.Command(Deno.execPath(), {
        // Without npm's packages, what asks for one fails, and the store goes on without telemetry.
        args: ["run", "--no-npm", "--no-check", "--config", config, file],
        env: { OTEL_DENO: otel, OTEL_EXPORTER_OTLP_PROTOCOL: "console", NO_COLOR: "1" },
      }).output();
      const decoder = new TextDecoder();
      return { stdout: decoder.decode(output.stdout), stderr: decoder.decode(output.stderr) };
    };
    assert.deepEqual(await run("false"), { stdout: "true\n", stderr: "" });
    const { stdout, stderr } = await run("true");
    assert.match(stdout, /^true$/m);
    assert.match(stderr, /OpenTelemetry's API could not be loaded/);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("an SDK whose API is too old for metrics is warned of, and the store works without it", async () => {
  const entry = new URL("../../src/store/memory/mod.ts", import.meta.url).href;
  const source = `
    import { trace } from "npm:@opentelemetry/api@1.2.0";
    trace.setGlobalTracerProvider({ getTracer: () => trace.getTracer("none") });
    const { InMemoryEventStore } = await import(${JSON.stringify(entry)});
    await using store = new InMemoryEventStore();
    console.log(await store.getLatestVersion("a"));
  `;
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, source);
    const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
    const output = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-lock", "--no-check", "--quiet", "--config", config, file],
      env: { NO_COLOR: "1" },
    }).output();
    const decoder = new TextDecoder();
    assert.equal(decoder.decode(output.stdout), "0\n");
    assert.match(decoder.decode(output.stderr), /uses version 1\.2\.0 of @opentelemetry\/api/);
  } finally {
    await Deno.remove(file);
  }
});
