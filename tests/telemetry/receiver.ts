/**
 * A receiver of OTLP over HTTP, in JSON.
 *
 * @module
 */

/** A span as it was received. */
export interface ReceivedSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly kind: number;
  readonly status: { readonly code?: number };
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly scope: string;
}

/** A metric as it was received, with the attributes of all its points. */
export interface ReceivedMetric {
  readonly name: string;
  readonly unit: string;
  readonly kind: "counter" | "histogram" | "gauge" | "other";
  readonly points: readonly Readonly<Record<string, unknown>>[];
  readonly scope: string;
}

/** What has been received. */
export interface Receiver extends AsyncDisposable {
  /** Where to send to. */
  readonly endpoint: string;
  /** The spans. */
  readonly spans: ReceivedSpan[];
  /** The metrics. */
  readonly metrics: ReceivedMetric[];
}

/** Values of OTLP's JSON come as `{ stringValue: ... }` and the like. */
// deno-lint-ignore no-explicit-any -- the protocol's JSON, read as it comes
type Json = any;

function attributesOf(list: Json): Record<string, unknown> {
  return Object.fromEntries((list ?? []).map(({ key, value }: Json) => [key, Object.values(value)[0]]));
}

/** Listens on a free loopback port. */
export function startReceiver(): Receiver {
  const spans: ReceivedSpan[] = [];
  const metrics: ReceivedMetric[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const body: Json = await request.json();
    for (const { scopeSpans } of body.resourceSpans ?? []) {
      for (const { scope, spans: list } of scopeSpans) {
        for (const span of list) {
          spans.push({ ...span, attributes: attributesOf(span.attributes), scope: scope.name });
        }
      }
    }
    for (const { scopeMetrics } of body.resourceMetrics ?? []) {
      for (const { scope, metrics: list } of scopeMetrics) {
        for (const { name, unit, sum, histogram, gauge } of list) {
          const kind = sum ? "counter" : histogram ? "histogram" : gauge ? "gauge" : "other";
          const points = ((sum ?? histogram ?? gauge)?.dataPoints ?? []).map(({ attributes }: Json) =>
            attributesOf(attributes)
          );
          metrics.push({ name, unit, kind, points, scope: scope.name });
        }
      }
    }
    return Response.json({});
  });
  return {
    endpoint: `http://127.0.0.1:${server.addr.port}`,
    spans,
    metrics,
    async [Symbol.asyncDispose](): Promise<void> {
      await server.shutdown();
    },
  };
}
