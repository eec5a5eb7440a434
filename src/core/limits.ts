// Every limit of the product, by name, with its reason. A queue, a batch or a set without an entry here is a defect.
// Each has a test at its edge.

/** Fixed for ever: keys never change their partition, so the number cannot change either. 256 gives at most 0.4 % of the
 * data per partition, and one byte of the hash names it. */
export const PARTITIONS = 256;

export const COLLECTION_NAME_BYTES_MAX = 64;
export const PK_BYTES_MAX = 512;
export const SK_BYTES_MAX = 400;
/** DynamoDB's sort key holds 1,024 bytes; ours: 4 group + 8 hash + 1 + 64 collection + 2 + 512 pk + 400 sk = 991. */
export const ENCODED_KEY_BYTES_MAX = 1_000;

/** Key and value together. The value of an `lww` collection may be raised up to VALUE_BYTES_HARD_MAX by its policy. */
export const ITEM_BYTES_MAX = 10 * 1024;
export const VALUE_BYTES_HARD_MAX = 256 * 1024;
export const CONTENT_TYPE_BYTES_MAX = 255;

/** A PUT that would add one more sibling is refused, so that the client merges. */
export const SIBLINGS_SOFT_MAX = 16;
/** A merge never fails on the number of siblings: it keeps the largest stamps and ledgers the rest. */
export const SIBLINGS_HARD_MAX = 32;

/** Operation ids kept in a record: 8 ids, so a retry is recognised for 8 later writes of the item. */
export const OPERATIONS_MAX = 8;
export const IDEMPOTENCY_KEY_BYTES_MAX = 255;

/** One byte counts the actors that a record names. */
export const ACTORS_PER_RECORD_MAX = 255;
/** Version vectors: one entry per actor that wrote the item. Beyond so many the oldest are forgotten (`boundVector`), which leaves
 * room below ACTORS_PER_RECORD_MAX for 32 siblings, a delete and 8 operations of other actors: 241. */
export const VECTOR_ACTORS_MAX = 200;

/** How far a received stamp may lie ahead of our own clock, and wall and monotonic time apart. CockroachDB's default. */
export const CLOCK_DRIFT_MS_MAX = 500;
/** Signed requests between regions are good for this long, after correction by the offset that the refusing side names. */
export const SIGNATURE_WINDOW_MS = 60_000;

export const REQUEST_DEADLINE_MS = 5_000;
export const EDGE_ATTEMPT_MS = 1_500;
export const EDGE_ATTEMPTS_MAX = 3;

export const BREAKER_FAILURES_IN_A_ROW = 3;
/** Whoever asks one after the other has waited so long for the second: two are enough then. */
export const BREAKER_SILENCE_MS = 1_000;
export const BREAKER_WINDOW_MS = 5_000;
export const BREAKER_WINDOW_REQUESTS = 10;
export const BREAKER_HALF_OPEN_MS = 1_000;
export const BREAKER_HALF_OPEN_MS_MAX = 30_000;
/** Between regions a small probe asks this often whether the peer is back. */
export const PEER_PROBE_MS = 500;

/** A region whose oldest missing change is no older than this has caught up: twice a slow link's round trip and a group commit. */
export const CAUGHT_UP_LAG_MS = 1_000;
/** What a peer said longer ago says nothing: four heartbeats. */
export const LAG_SAID_MS = 4 * PEER_PROBE_MS;
/** Traffic comes back over so long, from a tenth to all of it. */
export const SLOW_START_MS = 10_000;
/** Doubled with each return of a region that does not stay for SLOW_START_FORGET_MS. */
export const SLOW_START_MS_MAX = 60_000;
export const SLOW_START_FORGET_MS = 60_000;
/** An edge asks a region that is away this often whether it is back. */
export const REJOIN_PROBE_MS = 500;

/** Not heard for so long, a region is suspect: four heartbeats, or two that were lost with their answers. */
export const SUSPECT_MS = 2_000;
/** A suspicion that is not told again is forgotten. */
export const CLAIM_MS = 5_000;
/** So many observers make a region down. */
export const OBSERVERS_AGREE = 2;
/** A process that did not come to tick for so long was held itself. */
export const TICK_GAP_MS = 1_500;
/** A region that goes down again within FLAP_FORGET_MS stays suspect for so long when it is back, doubled each time. */
export const FLAP_HOLD_MS = 2_000;
export const FLAP_HOLD_MS_MAX = 30_000;
export const FLAP_FORGET_MS = 60_000;
/** Observers whose suspicions of one region are kept: every region, and some edges and witnesses. */
export const OBSERVERS_MAX = 64;
export const REPORTED_REGIONS_MAX = 64;
/** A region tries its own data path this often, and is not sound when a read and a write take longer than that. */
export const DATA_PATH_EVERY_MS = 2_000;
export const DATA_PATH_MS = 1_500;

export const PAGE_ITEMS_DEFAULT = 100;
export const PAGE_ITEMS_MAX = 1_000;
export const PAGE_BYTES_MAX = 256 * 1024;
export const BATCH_OPERATIONS_MAX = 100;
export const BATCH_BYTES_MAX = 1024 * 1024;

/** SQS bills by 64 KiB: a message is packed up to just below. A single larger record travels alone, up to 1 MiB. */
export const MESSAGE_BYTES_PACKED = 60_000;
export const MESSAGE_BYTES_MAX = 1024 * 1024;

export const INBOX_RECORDS_MAX = 10_000;
export const INBOX_BYTES_MAX = 16 * 1024 * 1024;
/** Then the peer is `behind`: nothing more is remembered for it, and reconciliation repairs it. */
export const HINTS_PER_PEER_MAX = 1_000_000;
export const DEAD_LETTERS_PER_PEER_MAX = 10_000;

export const TOMBSTONE_GRACE_MS = 3_600_000;
/** Removals of single dots that a record keeps. Each is of a message that came after its key was reaped; most records never see one. */
export const REMOVED_DOTS_MAX = 32;
/** Tombstones proposed in one round, and their bytes in one question. */
export const REAP_TOMBSTONES_MAX = 256;
/** Between rounds; less with a shorter grace. */
export const REAP_EVERY_MS = 10_000;
/** Records that are asked for to decide one late state: its issuers, and issuers of what these answered. */
export const LATE_QUESTIONS_MAX = 16;
export const REGION_HORIZON_MS = 7 * 86_400_000;

export const RECONCILE_EVERY_MS = 60_000;
export const LEASE_MS = 30_000;
export const CERTIFICATES_PER_PEER_MAX = 20;

/** JSON deeper than this is refused: JSON.parse and stringify recurse. */
export const JSON_DEPTH_MAX = 64;
export const HEADER_BYTES_MAX = 16 * 1024;
/** The context of 200 actors with names of 36 characters (those of regions on AWS have 24 at most) and 8 operations: 12,244. */
export const CONTEXT_TOKEN_BYTES_MAX = 12 * 1024;
/** A version, a physical key and a MAC in base64url are 1,352. */
export const CURSOR_CHARACTERS_MAX = 2_048;
