/**
 * Telemetry: the one place that knows OpenTelemetry.
 *
 * Nothing of OpenTelemetry is loaded, and nothing is measured, until the application has registered a provider: by
 * `OTEL_DENO=true`, or by an SDK of the program's own. Every name is in `src/telemetry_names.ts`, and in
 * `src/telemetry.md`.
 *
 * @module
 */

import type * as OpenTelemetry from "@opentelemetry/api";
import type { Context, Counter, Histogram, MeterProvider, Span, Tracer } from "@opentelemetry/api";
import {
  type MetricAttributes,
  type MetricDefinition,
  METRICS,
  type MetricsOfKind,
  type SpanAttributes,
  type SpanName,
  SPANS,
} from "./telemetry_names.ts";
import { messageOf } from "./text.ts";

/** The instrumentation scope of everything that the library reports. */
export const SCOPE = "@flowmade-one/aether";

/** How a span is begun. */
export interface SpanBeginning<N extends SpanName> {
  /** What is known of it. */
  readonly attributes: SpanAttributes<N>;
  /** The W3C trace context of the span that caused it. @default {the span that is current} */
  readonly traceparent?: string | undefined;
}

/** The present value of a gauge. */
interface GaugeValue {
  readonly value: number;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
}

/** The library's telemetry while a provider is registered. */
export class Telemetry {
  readonly #api: typeof OpenTelemetry;
  readonly #tracer: Tracer;
  readonly #counters = new Map<string, Counter>();
  readonly #histograms = new Map<string, Histogram>();
  readonly #gauges = new Map<string, Map<string, GaugeValue>>();

  /** Creates every instrument. */
  constructor(api: typeof OpenTelemetry, meters: MeterProvider) {
    this.#api = api;
    this.#tracer = api.trace.getTracer(SCOPE);
    const meter = meters.getMeter(SCOPE);
    for (const [name, metric] of Object.entries<MetricDefinition>(METRICS)) {
      const { kind, unit, description, boundaries } = metric;
      if (kind === "counter") this.#counters.set(name, meter.createCounter(name, { unit, description }));
      else if (kind === "gauge") {
        meter.createObservableGauge(name, { unit, description }).addCallback((result) => {
          for (const { value, attributes } of this.#gauges.get(name)?.values() ?? []) {
            result.observe(value, attributes);
          }
        });
      } else {
        const advice = boundaries && { explicitBucketBoundaries: [...boundaries] };
        this.#histograms.set(
          name,
          meter.createHistogram(name, { unit, description, ...(advice && { advice }) }),
        );
      }
    }
  }

  /** Adds to a counter. */
  count<N extends MetricsOfKind<"counter">>(name: N, value: number, attributes: MetricAttributes<N>): void {
    this.#counters.get(name)!.add(value, attributes);
  }

  /** Records a value in a histogram. */
  record<N extends MetricsOfKind<"histogram">>(
    name: N,
    value: number,
    attributes: MetricAttributes<N>,
  ): void {
    this.#histograms.get(name)!.record(value, attributes);
  }

  /** Sets a gauge; `undefined` if this process does not know its value any more. */
  set<N extends MetricsOfKind<"gauge">>(
    name: N,
    value: number | undefined,
    attributes: MetricAttributes<N>,
  ): void {
    const values = this.#gauges.get(name) ?? new Map<string, GaugeValue>();
    this.#gauges.set(name, values);
    const key = JSON.stringify(attributes);
    if (value === undefined) values.delete(key);
    else values.set(key, { value, attributes });
  }

  /**
   * Runs an operation within a span, which is current while it runs. What it throws is recorded on the span.
   *
   * @param operation Returns a value, or a promise at whose end the span ends.
   */
  inSpan<N extends SpanName, T>(
    name: N,
    beginning: SpanBeginning<N>,
    operation: (span: OpenSpan<N>) => T,
  ): T {
    const { span, context } = this.#begin(name, beginning);
    const open = new OpenSpan<N>(this.#api, span);
    let result: T;
    try {
      result = this.#api.context.with(context, () => operation(open));
    } catch (error) {
      open.end(error);
      throw error;
    }
    if (!(result instanceof Promise)) {
      open.end();
      return result;
    }
    return result.then((value) => {
      open.end();
      return value;
    }, (error) => {
      open.end(error);
      throw error;
    }) as T;
  }

  /** Runs an operation whose spans are children of the span with a W3C trace context. */
  within<T>(traceparent: string | undefined, operation: () => T): T {
    const context = this.#remote(traceparent);
    return context ? this.#api.context.with(context, operation) : operation();
  }

  /** Begins a span that its user ends, and that is never current. */
  begin<N extends SpanName>(name: N, beginning: SpanBeginning<N>): OpenSpan<N> {
    return new OpenSpan<N>(this.#api, this.#begin(name, beginning).span);
  }

  /** The W3C trace context of the span that is current. */
  traceparent(): string | undefined {
    const span = this.#api.trace.getActiveSpan();
    return span && formatTraceparent(this.#api, span);
  }

  #begin<N extends SpanName>(
    name: N,
    { attributes, traceparent }: SpanBeginning<N>,
  ): { span: Span; context: Context } {
    const { SpanKind, trace, context } = this.#api;
    const kinds = {
      client: SpanKind.CLIENT,
      producer: SpanKind.PRODUCER,
      consumer: SpanKind.CONSUMER,
      server: SpanKind.SERVER,
    };
    const parent = this.#remote(traceparent) ?? context.active();
    const span = this.#tracer.startSpan(name, { kind: kinds[SPANS[name].kind], attributes }, parent);
    return { span, context: trace.setSpan(parent, span) };
  }

  #remote(traceparent: string | undefined): Context | undefined {
    const match = traceparent === undefined ? undefined : TRACEPARENT.exec(traceparent);
    if (!match) return undefined;
    const [, traceId, spanId, flags] = match;
    const spanContext = {
      traceId: traceId!,
      spanId: spanId!,
      traceFlags: parseInt(flags!, 16),
      isRemote: true,
    };
    if (!this.#api.isSpanContextValid(spanContext)) return undefined;
    return this.#api.trace.setSpanContext(this.#api.ROOT_CONTEXT, spanContext);
  }
}

/** A span that has begun. */
export class OpenSpan<N extends SpanName> {
  readonly #api: typeof OpenTelemetry;
  readonly #span: Span;
  #ended = false;

  /** Wraps a span of the tracer. */
  constructor(api: typeof OpenTelemetry, span: Span) {
    this.#api = api;
    this.#span = span;
  }

  /** Its W3C trace context. */
  get traceparent(): string | undefined {
    return formatTraceparent(this.#api, this.#span);
  }

  /** Adds what became known. */
  set(attributes: SpanAttributes<N>): void {
    this.#span.setAttributes(attributes);
  }

  /** Ends it, once. */
  end(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    if (error !== undefined) {
      try {
        this.#span.recordException(error instanceof Error ? error : String(error));
      } catch {
        // Any value may be thrown, and one that throws when it is read is not shown.
      }
      this.#span.setStatus({ code: this.#api.SpanStatusCode.ERROR, message: messageOf(error) });
    }
    this.#span.end();
  }
}

/** https://www.w3.org/TR/trace-context/#traceparent-header */
const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** Whether a text is a W3C trace context. */
export function isTraceparent(text: unknown): text is string {
  return typeof text === "string" && TRACEPARENT.test(text);
}

function formatTraceparent(api: typeof OpenTelemetry, span: Span): string | undefined {
  const context = span.spanContext();
  if (!api.isSpanContextValid(context)) return undefined;
  return `00-${context.traceId}-${context.spanId}-${context.traceFlags.toString(16).padStart(2, "0")}`;
}

/** Where `@opentelemetry/api`, in every copy and version 1.x of it, keeps what was registered. */
const REGISTRY = Symbol.for("opentelemetry.js.api.1");
const registry = globalThis as { readonly [REGISTRY]?: { readonly version?: string } };

/**
 * The API that is imported here, 1.3, is the oldest one with metrics: a copy of the API does not see what an older copy has
 * registered, and SDKs bring copies of many versions.
 */
const OLDEST_MINOR = 3;

/** Loads the API; a program goes on without telemetry where that fails. */
async function load(): Promise<typeof OpenTelemetry | undefined> {
  const { version } = registry[REGISTRY] ?? {};
  if (Number(/^1\.(\d+)\./.exec(version ?? "")?.[1] ?? OLDEST_MINOR) < OLDEST_MINOR) {
    console.warn(
      `aether: the OpenTelemetry SDK uses version ${version} of @opentelemetry/api, and nothing is reported to it: ` +
        `install an SDK that uses version 1.${OLDEST_MINOR} or later`,
    );
    return undefined;
  }
  try {
    return await import("@opentelemetry/api");
  } catch (error) {
    console.warn("aether: OpenTelemetry's API could not be loaded, nothing is reported", error);
    return undefined;
  }
}

// It takes 5 to 10 ms to load, which a program without telemetry is spared; OTEL_DENO registers before any module runs.
let loading = registry[REGISTRY] !== undefined;
let api: typeof OpenTelemetry | undefined = loading ? await load() : undefined;
let current: Telemetry | undefined;
let currentMeters: MeterProvider | undefined;

/** Gives the telemetry, or nothing. */
export type TelemetrySource = () => Telemetry | undefined;

/**
 * The telemetry; `undefined` if no provider is registered. If one is registered after this module was loaded,
 * OpenTelemetry's API is loaded then, and what happens until it is there is not reported.
 */
export function telemetry(): Telemetry | undefined {
  if (registry[REGISTRY] === undefined) return undefined;
  return registered();
}

function registered(): Telemetry | undefined {
  if (!api) {
    if (!loading) {
      loading = true;
      load().then((loaded) => api = loaded);
    }
    return undefined;
  }
  const meters = api.metrics.getMeterProvider();
  if (!current || meters !== currentMeters) {
    currentMeters = meters;
    current = new Telemetry(api, meters);
  }
  return current;
}
