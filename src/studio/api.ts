/**
 * What the studio's server answers: the routes below `api/`, and the JSON and the server-sent events of each.
 *
 * All addresses are relative to the page, which may be below any path: `api/session`, `client/icon.svg`. The page itself is
 * `client/index.html`, served as `./`, with the modules and the style of `client/` in it, so that what it shows is chosen by
 * the hash of its address. Preact with htm (`htm/preact/standalone.module.js`) takes the place of `client/preact.js`. The
 * policy of the page allows this script and this style by their hashes, and images and connections of its own origin.
 *
 * | route                           | query                                           | answer                                   |
 * | ------------------------------- | ----------------------------------------------- | ---------------------------------------- |
 * | GET `api/session`               |                                                 | {@linkcode Session}                      |
 * | GET `api/actors`                | `prefix`, `after`, `limit`                      | {@linkcode ActorPage}                    |
 * | GET `api/actor`                 | `actor`, `from`, `to`, `direction`, `limit`     | {@linkcode HistoryPage}                  |
 * | GET `api/actor/state`           | `actor`, `version`, `decider`                   | {@linkcode ActorState}                   |
 * | GET `api/actor/diff`            | `actor`, `a`, `b`, `decider`                    | {@linkcode Difference}                   |
 * | GET `api/actor/given`           | `actor`, `to`                                   | {@linkcode Given}                        |
 * | GET `api/event`                 | `position`                                      | {@linkcode EventRow}                     |
 * | GET `api/event/links`           | `position`, `before`, `after`                   | {@linkcode EventLinks}                   |
 * | GET `api/log`                   | `after` or `before`, `limit`, filter            | {@linkcode LogPage}                      |
 * | GET `api/log/activity`          | `limit`, filter                                 | {@linkcode Activity}                     |
 * | stream `api/log/live`           | `after`, filter                                 | {@linkcode LogLive}                      |
 * | GET `api/projections`           |                                                 | {@linkcode ProjectionList}               |
 * | stream `api/projections/live`   |                                                 | {@linkcode ProjectionsLive}              |
 * | GET `api/parked`                | `projection`, `version`, `after`, `limit`       | {@linkcode ParkedPage}                   |
 * | POST `api/parked/retry`         | body {@linkcode ParkedCommand}                  | {@linkcode ParkedResult}                 |
 * | POST `api/parked/discard`       | body {@linkcode ParkedCommand}                  | {@linkcode ParkedResult}                 |
 * | GET `api/cluster`               |                                                 | {@linkcode ClusterPicture}               |
 * | stream `api/cluster/live`       |                                                 | {@linkcode ClusterLive}                  |
 * | GET `api/health`                |                                                 | {@linkcode Health}                       |
 * | stream `api/verify`             |                                                 | {@linkcode VerifyLive}                   |
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

/** An event, whole. */
export interface EventRow {
  /** Its id. */
  readonly id: string;
  /** What happened. */
  readonly eventType: string;
  /** To which actor. */
  readonly actorId: string;
  /** Its version among its actor's events. */
  readonly version: number;
  /** Its place in the log. Positions of one log are ordered by `<`. */
  readonly position: string;
  /** When it happened, RFC 3339. */
  readonly timestamp: string;
  /** What happened in detail: any JSON. A field of a person who was forgotten is `{ $forgotten: <time> }`. */
  readonly data: unknown;
  /** Who and what caused it: `causationId`, `correlationId`, `userId`, `traceparent`, and the user's own. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** A place of the log that cannot be read. The rows around it are shown all the same. */
export interface DamageRow {
  /** What is wrong, for people. */
  readonly message: string;
  /** The actor, if it is known. */
  readonly actorId?: string;
  /** The version, if it is known. */
  readonly version?: number;
  /** The position, if it is known. */
  readonly position?: string;
}

/** Some of the actors, in the order of the store: in Deno KV that of their ids, elsewhere none in particular. */
export interface ActorPage {
  /** The actors. */
  readonly actors: readonly {
    /** The id. */
    readonly actorId: string;
    /** The version of its latest event. */
    readonly latestVersion: number;
  }[];
  /** Pass it as `after` for the next page; `null` if there is none. */
  readonly next: string | null;
}

/**
 * Some of an actor's events: those of the versions `from` to `to`, in order of `direction` (`forward` or `backward`, by default
 * `backward`: the latest first). An actor without events is `not-found`.
 */
export interface HistoryPage {
  /** The actor. */
  readonly actorId: string;
  /** The version of its latest event. */
  readonly latestVersion: number;
  /** The events. Versions may have gaps. */
  readonly events: readonly EventRow[];
  /** What cannot be read in this part of the history. */
  readonly damage: readonly DamageRow[];
  /** The version to go on with, as `from` (forward) or `to` (backward); `null` at the end. */
  readonly next: number | null;
}

/** An actor at a version (by default its latest): the event that brought it there, and the state if a decider was named. */
export interface ActorState {
  /** The actor. */
  readonly actorId: string;
  /** The version that was asked for. */
  readonly version: number;
  /** The latest event up to that version; `null` if there is none, because the version is 0 or events have expired. */
  readonly event: EventRow | null;
  /** The decider's name; `null` if none was named. */
  readonly decider: string | null;
  /** The state, as JSON carries it; `null` without a decider. */
  readonly state: unknown;
}

/** What has changed from version `a` to `b`: the state by a decider; without one, the data of the two events. */
export interface Difference {
  /** The actor. */
  readonly actorId: string;
  /** The first version. */
  readonly a: number;
  /** The second version. */
  readonly b: number;
  /** The decider's name; `null` if none was named. */
  readonly decider: string | null;
  /** The changes; at most {@linkcode Session.maxLimit}. */
  readonly changes: readonly Change[];
  /** Whether there are more changes than that. */
  readonly isCut: boolean;
}

/** A field that has changed. */
export interface Change {
  /** The way to the field: names, and the numbers of list items; empty for the whole. */
  readonly path: readonly (string | number)[];
  /** How it was; missing if it did not exist. */
  readonly before?: unknown;
  /** How it is; missing if it does not exist any more. */
  readonly after?: unknown;
}

/** An actor's history from its first event to version `to` (by default its latest), as the `given([...])` of a test. */
export interface Given {
  /** The text, TypeScript. */
  readonly text: string;
  /** How many events it has. */
  readonly events: number;
  /** Whether the history is too long, so that only its first events are in the text. */
  readonly isCut: boolean;
}

/**
 * What caused an event, and what it caused, as far as a bounded part of the log around it shows. With `before` and `after`
 * the search goes on where an earlier one ended.
 */
export interface EventLinks {
  /** The event whose id is this event's `causationId`, if it was found; else `null`. */
  readonly cause: EventRow | null;
  /** Events whose `causationId` is this event's id, in order of the log. */
  readonly effects: readonly EventRow[];
  /** Other events with the same `correlationId`, in order of the log. */
  readonly related: readonly EventRow[];
  /** Pass it as `before` to search further back; `null` if the beginning of the log, or the cause, was found. */
  readonly before: string | null;
  /** Pass it as `after` to search further on; `null` if the end of the log was reached. */
  readonly after: string | null;
}

/**
 * Some of the log. With `after` (a position, or `start`) the events behind it; with `before` (a position) those in front of it;
 * with neither the latest. Always in order of the log, the oldest first.
 */
export interface LogPage {
  /** The events. */
  readonly events: readonly EventRow[];
  /** What cannot be read in this part of the log. */
  readonly damage: readonly DamageRow[];
  /** Pass it as `before` for the events in front of these; `null` at the beginning. */
  readonly earlier: string | null;
  /** Pass it as `after` for the events behind these; `null` if these are the latest at the moment. */
  readonly later: string | null;
  /** The position of the last event of the log; `null` if the log is empty. Pass it as `after` to `api/log/live`. */
  readonly last: string | null;
}

/** What the latest events are like: at most `limit` of them are looked at. */
export interface Activity {
  /** How many were looked at. */
  readonly events: number;
  /** The time of the first of them, RFC 3339; `null` if there are none. */
  readonly since: string | null;
  /** The time of the last of them, RFC 3339; `null` if there are none. */
  readonly until: string | null;
  /** How many events there were in each of as many equal parts of the time as the list is long, from `since` to `until`. */
  readonly rate: readonly number[];
  /** How many events there were of each type, the most frequent first. */
  readonly types: readonly TypeCount[];
  /** How many events there were of types that are not listed. */
  readonly otherTypes: number;
}

/** How many events there are of a type. */
export interface TypeCount {
  /** The type. */
  readonly eventType: string;
  /** How many. */
  readonly count: number;
}

/**
 * The log as it grows: events after the position `after` (by default the present end). `EventSource` goes on after
 * the last position by itself, also in a tab that has slept; what is too much to be sent is left out, and counted in a `gap`.
 */
export interface LogLive {
  /** New events, in order; the message's id is the position of the last. */
  readonly events: readonly EventRow[];
  /** Events were left out, because the page is slower than the log. */
  readonly gap: LogGap;
  /** What came in the last second, also of what was left out; not sent in a second without events after another such. */
  readonly rate: {
    /** The server's time, RFC 3339. */
    readonly at: string;
    /** How many events. */
    readonly events: number;
    /** How many of each type; at most 20 types. */
    readonly types: readonly TypeCount[];
  };
  /** A place of the log that cannot be read; the stream goes on behind it. */
  readonly damage: DamageRow;
}

/** Events that were left out of a stream. Read them as `api/log?after=<after>`, up to `until`. */
export interface LogGap {
  /** How many, as far as they were counted. */
  readonly events: number;
  /** Whether there are more than that. */
  readonly isMore: boolean;
  /** The position in front of the first of them. */
  readonly after: string;
  /** The position of the last of them. */
  readonly until: string;
}

/** How all projections are getting on. */
export interface ProjectionList {
  /** The projections, by name and version. */
  readonly projections: readonly ProjectionRow[];
}

/** How a projection is getting on. */
export interface ProjectionRow {
  /** Its name. */
  readonly name: string;
  /** Its version. */
  readonly version: number;
  /** In one word: `problem` is a log that cannot be read on from its position. */
  readonly state: "up-to-date" | "behind" | "failing" | "stopped" | "problem" | "rebuilding" | "replaced";
  /** Everything up to here was handled, left out or parked; `null` if it has not begun. */
  readonly position: string | null;
  /** How many events it has handled. */
  readonly handled: number;
  /** How many events it handles a second, of late. */
  readonly rate: number;
  /** When its checkpoint was written, RFC 3339. */
  readonly savedAt: string;
  /** How far it is behind; `null` if it is not known. */
  readonly lag: LagRow | null;
  /** Why it cannot go on, for people; `null` if it can. */
  readonly problem: string | null;
  /** The event that fails; `null` if none does. */
  readonly failing: FailingRow | null;
  /** How many events it has set aside. */
  readonly parked: number;
  /** Its segments; empty if it has none. */
  readonly segments: readonly SegmentRow[];
  /** How far it is, if it is being built to replace another version; else `null`. */
  readonly rebuild: {
    /** The version that serves until then. */
    readonly replaces: number;
    /** Which part of the log it has handled, from 0 to 1. */
    readonly share: number;
    /** How long it still takes, about, in milliseconds; `null` if it is not known. */
    readonly timeLeft: number | null;
  } | null;
  /** The version that has taken over; `null` if none has. */
  readonly replacedBy: number | null;
  /** Whether its handler is known here, so that parked events can be retried. */
  readonly canRetry: boolean;
}

/** How far a projection is behind. */
export interface LagRow {
  /** How many events, as far as they were counted. */
  readonly events: number;
  /** Whether there are more than were counted. */
  readonly isMore: boolean;
  /** The age of the oldest that was not handled, in milliseconds; 0 if there is none. */
  readonly time: number;
}

/** How a segment of a projection is getting on. */
export interface SegmentRow {
  /** Which one, from 0. */
  readonly index: number;
  /** See {@linkcode ProjectionRow}. */
  readonly state: "up-to-date" | "behind" | "failing" | "stopped";
  /** How many events it has handled. */
  readonly handled: number;
  /** How many events it handles a second, of late. */
  readonly rate: number;
  /** How far it is behind; `null` if it is not known. */
  readonly lag: LagRow | null;
  /** The event that fails; `null` if none does. */
  readonly failing: FailingRow | null;
  /** How many events it has set aside. */
  readonly parked: number;
}

/** An event that a handler fails on. */
export interface FailingRow {
  /** Its position. */
  readonly position: string;
  /** Its actor. */
  readonly actorId: string;
  /** Its version. */
  readonly eventVersion: number;
  /** Its type. */
  readonly eventType: string;
  /** The handler's error. */
  readonly error: string;
  /** How often it was tried. */
  readonly attempts: number;
}

/** How projections are getting on, as it changes: all of them each time, at most once in two seconds. */
export interface ProjectionsLive {
  /** All projections. */
  readonly projections: ProjectionList;
}

/** Some of what a projection has set aside, oldest first. A projection without a checkpoint is `not-found`. */
export interface ParkedPage {
  /** The projection's name. */
  readonly projection: string;
  /** Its version. */
  readonly version: number;
  /** The events. */
  readonly parked: readonly ParkedRow[];
  /** Pass it as `after` for the next page; `null` if there is none. */
  readonly next: string | null;
}

/** An event that was set aside. */
export interface ParkedRow extends FailingRow {
  /** Since when, RFC 3339. */
  readonly parkedAt: string;
  /** Whether later events of its actor (or key) wait behind it. */
  readonly blocksActor: boolean;
}

/** A parked event to be retried or discarded. */
export interface ParkedCommand {
  /** The projection's name. */
  readonly projection: string;
  /** Its version. @default {1} */
  readonly version?: number;
  /** The position of the parked event. */
  readonly position: string;
}

/** A parked event was handled or discarded. */
export interface ParkedResult {
  /** What is still parked, counted. */
  readonly parked: number;
  /**
   * The next event of the actor, which waited behind the discarded one and is parked in its place now: its handler failed on it, or
   * is not known to this studio. `null` if none waits.
   */
  readonly next: ParkedRow | null;
}

/** The nodes of a cluster, and which shards they have. */
export interface ClusterPicture {
  /** Its nodes, by name. */
  readonly nodes: readonly NodeRow[];
  /** The number of shards; 0 before the first leader. */
  readonly shardCount: number;
  /** By shard: the index of its owner in `nodes`, or -1 if no node has it. */
  readonly owners: readonly number[];
  /** The leases that are known, by name. */
  readonly leases: readonly LeaseRow[];
}

/** A node of a cluster. */
export interface NodeRow {
  /** Its name. */
  readonly name: string;
  /** Rises with every restart of any node. */
  readonly incarnation: number;
  /** The address at which other nodes reach it; may be empty. */
  readonly address: string;
  /** The user's own strings. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Its share of the shards, relative to the weights of the others. */
  readonly weight: number;
  /** Whether it gives its shards away. */
  readonly draining: boolean;
  /** Whether it leads. */
  readonly isLeader: boolean;
  /** How many shards it has. */
  readonly shards: number;
  /** How many actors it has in memory; `null` if it is not known. */
  readonly activeActors: number | null;
}

/** A lease. */
export interface LeaseRow {
  /** Its name: `leader`, or that of a node or a user's lease. */
  readonly name: string;
  /** `leader`, `node` (shows that a node is alive), or `lease` (one that a program has acquired). */
  readonly kind: "leader" | "node" | "lease";
  /** Who holds it; may be empty. */
  readonly holder: string;
  /** Its fencing token. */
  readonly token: number;
  /** How long ago its holder renewed it, in milliseconds; `null` until a renewal was seen. */
  readonly renewed: number | null;
  /** Since when it was seen with this holder, in milliseconds. */
  readonly held: number;
}

/** A cluster as it changes. */
export interface ClusterLive {
  /** Everything: at first, and when a node joins, leaves or changes. */
  readonly cluster: ClusterPicture;
  /** Shards that have moved since the last message. */
  readonly moves: readonly ShardMove[];
  /** The leases, and the actors in memory by name of node: every two seconds. */
  readonly leases: {
    /** The leases. */
    readonly leases: readonly LeaseRow[];
    /** Actors in memory by name of node. */
    readonly activeActors: Readonly<Record<string, number>>;
  };
}

/** A shard that has moved. */
export interface ShardMove {
  /** The shard. */
  readonly shard: number;
  /** The name of the node that had it; `null` if none had. */
  readonly from: string | null;
  /** The name of the node that has it; `null` if none has. */
  readonly to: string | null;
}

/** What weakens a store, and what it can hold. */
export interface Health {
  /** What weakens it, the most severe first. */
  readonly findings: readonly {
    /** A stable name. */
    readonly code: string;
    /** How much it matters. */
    readonly severity: "info" | "warning" | "critical";
    /** What is so, and what can be lost by it. */
    readonly message: string;
    /** What to do. */
    readonly advice: string;
  }[];
  /** The most that one commit may hold; `null` if there is no limit. */
  readonly limits: {
    /** Actors of a commit. */
    readonly actorsPerCommit: number | null;
    /** Events of a commit. */
    readonly eventsPerCommit: number | null;
    /** Bytes of a commit's events as JSON. */
    readonly bytesPerCommit: number | null;
    /** Bytes of one event as JSON. */
    readonly bytesPerEvent: number | null;
  };
  /** The position of the last event; `null` if the log is empty. */
  readonly last: string | null;
  /** The last seal; `null` if it is not known where the seal is, or there is none. */
  readonly seal: {
    /** Its name, as its checkpoint has it. */
    readonly origin: string;
    /** How many events are sealed. */
    readonly size: number;
    /** When it was signed, by the clock of the sealer, RFC 3339; `null` if it has no time. */
    readonly sealedAt: string | null;
    /** The root of the tree, base64. */
    readonly root: string;
    /** The position of the last sealed event; `null` if there is none. */
    readonly position: string | null;
    /** When that event happened, RFC 3339; `null` if there is none. */
    readonly timestamp: string | null;
  } | null;
}

/** A verification, which reads the whole log. To close the stream ends it. One runs at a time: a second is `failed` with `busy`. */
export interface VerifyLive {
  /** How far it is, a few times a second. */
  readonly progress: {
    /** Commits read so far. */
    readonly commits: number;
    /** Events read so far. */
    readonly events: number;
  };
  /** What was found. It is the last message: close the `EventSource`. */
  readonly report: {
    /** Whether nothing was found. */
    readonly ok: boolean;
    /** Commits read. */
    readonly commits: number;
    /** Events read. */
    readonly events: number;
    /** Actors read. */
    readonly actors: number;
    /** The log's last position; `null` if the log is empty. */
    readonly lastPosition: string | null;
    /** The first damaged or truncated places; at most {@linkcode Session.maxLimit}. */
    readonly faults: readonly DamageRow[];
    /** How many there are. */
    readonly faultCount: number;
  };
}
