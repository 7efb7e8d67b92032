/**
 * What the studio's server answers: the routes below `api/`, and the JSON and the server-sent events of each.
 *
 * All addresses are relative to the page, which may be below any path: `api/session`, `client/icon.svg`. The page itself is
 * `client/index.html`, served as `./`, with the modules and the style of `client/` in it, so that what it shows is chosen by
 * the hash of its address. Preact with htm (`htm/preact/standalone.module.js`) takes the place of `client/preact.js`. The
 * policy of the page allows this script and this style by their hashes, and images and connections of its own origin.
 *
 * | route                         | query                                       | answer            |
 * | ----------------------------- | ------------------------------------------- | ----------------- |
 * | GET `api/session`             |                                             | `Session`         |
 * | GET `api/actors`              | `prefix`, `after`, `limit`                  | `ActorPage`       |
 * | GET `api/actor`               | `actor`, `from`, `to`, `direction`, `limit` | `HistoryPage`     |
 * | GET `api/actor/state`         | `actor`, `version`, `decider`               | `ActorState`      |
 * | GET `api/actor/diff`          | `actor`, `a`, `b`, `decider`                | `Difference`      |
 * | GET `api/actor/given`         | `actor`, `to`                               | `Given`           |
 * | GET `api/event`               | `position`                                  | `EventRow`        |
 * | GET `api/event/links`         | `position`, `before`, `after`               | `EventLinks`      |
 * | GET `api/log`                 | `after` or `before`, `limit`, filter        | `LogPage`         |
 * | GET `api/log/activity`        | `limit`, filter                             | `Activity`        |
 * | stream `api/log/live`         | `after`, filter                             | `LogLive`         |
 * | GET `api/projections`         | `after`, `limit`                            | `ProjectionList`  |
 * | stream `api/projections/live` | `after`, `limit`                            | `ProjectionsLive` |
 * | GET `api/parked`              | `projection`, `version`, `after`, `limit`   | `ParkedPage`      |
 * | POST `api/parked/retry`       | body `ParkedCommand`                        | `ParkedResult`    |
 * | POST `api/parked/discard`     | body `ParkedCommand`                        | `ParkedResult`    |
 * | GET `api/cluster`             | `after`, `limit`, of leases                 | `ClusterPicture`  |
 * | stream `api/cluster/live`     | `after`, `limit`, of leases                 | `ClusterLive`     |
 * | GET `api/health`              |                                             | `Health`          |
 * | stream `api/verify`           |                                             | `VerifyLive`      |
 * | GET `api/faults`              | `after`, `limit`                            | `FaultPage`       |
 *
 * A *filter* is `type` (may be repeated), `actor` and `prefix` (of actor ids). `limit` is 1 to {@linkcode Session.maxLimit}; a
 * page may have fewer rows than that, since it is bounded by bytes too. What is not answered with 200 is an
 * {@linkcode ApiError}. A page may also have no rows and a next page: a read ends after some seconds, and goes on from there.
 *
 * **Streams** are server-sent events for `EventSource`. Each message has a name (`event:`) and JSON (`data:`): the field
 * of the stream's interface that it is named after. All streams also send {@linkcode StreamMessages}. A comment is sent
 * every {@linkcode Session.heartbeat} milliseconds. A wrong query, and what the studio does not have, are refused before a stream
 * opens. One that opened is answered with 200 also if what it shows cannot be shown: it
 * sends `failed`, and the next connection is answered with 204, so that `EventSource` does not connect again. A browser opens six
 * connections to one server: a page should have one stream open, and close it when it is left.
 *
 * **Posts** have the header `content-type: application/json`, and come from the page's own origin.
 *
 * @module
 */

export type * from "./actor.ts";
export type * from "./cluster.ts";
export type * from "./event.ts";
export type * from "./health.ts";
export type * from "./log.ts";
export type * from "./projection.ts";

/** Why something was not answered. */
export interface ApiError {
  /**
   * A stable name:
   *
   * | code               | status | when                                                                                |
   * | ------------------ | ------ | ----------------------------------------------------------------------------------- |
   * | `invalid`          | 400    | a value of the query or the body is out of range, or no position of this log        |
   * | `unauthorized`     | 401    | the cookie is missing or of an earlier run: open the address that was printed       |
   * | `read-only`        | 403    | the studio was started without the permission to change something                   |
   * | `forbidden`        | 403    | the request comes from another origin, or under another host name                   |
   * | `not-found`        | 404    | there is no such route, actor, event, projection or parked event; or no cluster     |
   * | `method`           | 405    | the route has another method                                                        |
   * | `failed-again`     | 409    | the handler failed on the event that was tried again; `message` is its error        |
   * | `busy`             | 409    | a verification runs already, or another worker has the projection                   |
   * | `decider-failed`   | 422    | the decider threw, looped, or asked for a permission                                |
   * | `too-many-streams` | 429    | too many streams are open: close a tab                                              |
   * | `damaged`          | 500    | this part of the log is damaged or has expired                                      |
   * | `internal`         | 500    | a fault of the program                                                              |
   * | `unavailable`      | 503    | the store does not answer at the moment: try again                                  |
   */
  readonly code:
    | "invalid"
    | "unauthorized"
    | "read-only"
    | "forbidden"
    | "not-found"
    | "method"
    | "failed-again"
    | "busy"
    | "decider-failed"
    | "too-many-streams"
    | "damaged"
    | "internal"
    | "unavailable";
  /** Sentences for people: what is wrong, and what to do. */
  readonly message: string;
}

/** What every stream may send, apart from its own messages. */
export interface StreamMessages {
  /** Whether the store answers: at first, and at each change. The stream goes on by itself when it answers again. */
  readonly connection: ConnectionState;
  /** The stream cannot go on. It is the last message: close the `EventSource`. */
  readonly failed: ApiError;
}

/** Whether the store answers. */
export interface ConnectionState {
  /** Whether it does. */
  readonly connected: boolean;
  /** Why not, for people; missing if it does. */
  readonly message?: string;
}

/** What this studio can show and do. */
export interface Session {
  /** What it looks into, without secrets: `orders.kv`, `nats://127.0.0.1:4222`. */
  readonly target: string;
  /** The kind of store, for people: `memory`, `Deno KV`, `NATS JetStream`, or the name of its class. */
  readonly backend: string;
  /** Whether parked events may be retried and discarded. */
  readonly canWrite: boolean;
  /** The names of the deciders that can fold an actor's events; may be empty. */
  readonly deciders: readonly string[];
  /** Whether it knows checkpoints of projections. */
  readonly hasProjections: boolean;
  /** Whether it knows a cluster. */
  readonly hasCluster: boolean;
  /** Whether it knows where the log's seal is. */
  readonly hasSeal: boolean;
  /** The largest `limit` of a page. */
  readonly maxLimit: number;
  /** How often a stream sends at least a comment, in milliseconds. */
  readonly heartbeat: number;
  /** The server's time, RFC 3339: ages are measured from it. */
  readonly now: string;
}
