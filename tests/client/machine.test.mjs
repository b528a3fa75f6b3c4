/** The machine's table: every cell, one by one, and then the stories that several cells tell together. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { STATES, TABLE, backoff, decide, start } from "../../sqla_realtime/client/machine.js"

const NAMES = ["websocket", "sse", "poll"]
const at = { now: 0, random: 0.5 }
const refusal = { type: "error", code: "origin-refused", message: "Not from there.", fix: "Add it to origins." }

/** What happens from the beginning on; an event is a name, or a name and its data. */
function run(from, ...events) {
  let decision = [from]
  for (const event of events) {
    const [type, data] = [event].flat()
    decision = decide(decision[0], type, { ...at, ...data })
  }
  return decision
}
const told = ([{ state, status, rank }, act, wait]) => [state, status, rank, act, wait]

const idle = start(NAMES)
const greeting = ["want", "opened", "asked"]
const hello = ["got hello", { ping: 25 }]
const EXAMPLES = {
  idle: [],
  dialing: ["want"],
  probing: ["want", "lost"],
  asking: ["want", "opened"],
  greeting,
  live: [...greeting, hello],
  waiting: [...greeting, hello, ["lost", { code: 1006 }]],
  refused: [...greeting, hello, ["lost", { code: 4400 }]],
  closed: ["close"],
}

// What each event's data is in the cells below.
const DATA = {
  lost: { code: 1006 },
  better: { rank: 0 },
  asked: { patience: 5000 },
  "got hello": { ping: 5 },
  "got error": refusal,
}

const _ = "ignored"
const DIAL = "dialing dial 10000"
const STOP = "waiting hangup"
const WAIT = "waiting hangup 250"
const ASK = "asking ask 10000"
const PROBE = "probing diagnose 10000"
const SHUT = "closed leave"
const CELLS = {
  //                idle  dialing probing asking greeting live waiting refused closed
  open:             [DIAL, _, _, _, _, _, DIAL, DIAL, DIAL],
  want:             [DIAL, _, _, _, _, _, _, _, _],
  close:            [SHUT, SHUT, SHUT, SHUT, SHUT, SHUT, SHUT, SHUT, _],
  alarm:            [_, PROBE, WAIT, WAIT, DIAL, "live null 25000", DIAL, _, _],
  wake:             [_, _, _, _, _, _, DIAL, _, _],
  resume:           [_, _, _, _, _, _, DIAL, _, _],
  online:           [_, _, _, _, _, _, DIAL, _, _],
  offline:          [_, STOP, STOP, STOP, STOP, STOP, STOP, _, _],
  freeze:           [_, STOP, STOP, STOP, STOP, STOP, STOP, _, _],
  pagehide:         [_, STOP, STOP, STOP, STOP, STOP, STOP, _, _],
  opened:           [_, ASK, _, _, _, DIAL, _, _, _],
  asked:            [_, _, _, "greeting hello 5000", _, _, _, _, _],
  lost:             [_, PROBE, _, WAIT, DIAL, WAIT, _, _, _],
  failed:           [_, DIAL, WAIT, WAIT, WAIT, WAIT, _, _, _],
  through:          [_, _, DIAL, _, _, _, _, _, _],
  better:           [_, _, _, _, _, DIAL, _, _, _],
  heard:            [_, _, _, "asking", "greeting", "live", _, _, _],
  "got hello":      [_, _, _, _, "live admit 5000", _, _, _, _],
  "got renewed":    [_, _, _, _, "live admit 25000", _, _, _, _],
  "got error":      [_, _, "refused hangup", _, "refused hangup", _, _, _, _],
  "got bye":        [_, _, _, "asking", "greeting", "live", _, _, _],
  "got needs_auth": [_, _, _, _, _, ASK, _, _, _],
}

test("every state has an example here, every event a row, every row a cell for each state", () => {
  assert.deepEqual(Object.keys(EXAMPLES), STATES)
  assert.deepEqual(Object.keys(CELLS), Object.keys(TABLE))
  for (const [event, row] of [...Object.entries(TABLE), ...Object.entries(CELLS)]) assert.equal(row.length, STATES.length, event)
  for (const row of Object.values(TABLE)) for (const rule of row) assert.equal(typeof rule, "function")
})

for (const [event, row] of Object.entries(CELLS))
  for (const [i, expected] of row.entries())
    test(`${STATES[i]}, ${event}: ${expected}`, () => {
      const [before] = run(idle, ...EXAMPLES[STATES[i]])
      assert.equal(before.state, STATES[i])
      const frozen = Object.freeze({ ...before })
      const [after, act, wait] = decide(frozen, event, { ...at, ...DATA[event] })
      if (expected === _) assert.deepEqual([after, act, wait], [frozen, undefined, undefined])
      else assert.equal([after.state, act, wait].filter(part => part !== undefined).map(String).join(" "), expected)
    })

test("an event that the table does not have is a mistake", () => {
  assert.throws(() => decide(idle, "constructor", at), TypeError)
})

const live = EXAMPLES.live
const leaving = retry_after_ms => [...live, ["got bye", { code: 4500, retry_after_ms }], ["lost", { code: 4500 }]]
const blocked = [["lost", { code: 1006 }], "through"]
const overSse = ["want", ...blocked, ...blocked, "opened", "asked", hello]
const overPoll = [...overSse.slice(0, -1), "alarm", "opened", "asked", hello]

for (const [name, events, expected] of [
  ["a lost connection waits", EXAMPLES.waiting, ["waiting", "offline", 0, "hangup", 250]],
  ["and dials again, still offline for people", [...EXAMPLES.waiting, "alarm"], ["dialing", "offline", 0, "dial", 10_000]],
  ["one that was refused is connecting", [...EXAMPLES.refused, "open"], ["dialing", "connecting", 0, "dial", 10_000]],
  ["a refusal is final", [...EXAMPLES.probing, ["got error", refusal]], ["refused", "refused", 0, "hangup", undefined]],
  ["a server may wish for a longer wait", leaving(20_000), ["waiting", "offline", 0, "hangup", 20_250]],
  ["but not for a shorter one", leaving(-5), ["waiting", "offline", 0, "hangup", 250]],
  ["nor for anything else", leaving("soon"), ["waiting", "offline", 0, "hangup", 250]],
  ["a server's goodbye may be final", [...live, ["got bye", { code: 4400 }], ["lost", {}]], ["refused", "refused", 0, "hangup", undefined]],
  ["a token that is refused is asked for once more", [...greeting, ["got error", { code: "bad-token" }]], ["asking", "connecting", 0, "ask", 10_000]],
  [
    "but only once",
    [...greeting, ["got error", { code: "bad-token" }], "asked", ["got error", { code: "token-expired" }]],
    ["refused", "refused", 0, "hangup", undefined],
  ],
  ["rights that have ended are asked for", [...live, "got needs_auth"], ["asking", "connecting", 0, "ask", 10_000]],
  ["and renewed", [...live, "got needs_auth", "asked", "got renewed"], ["live", "live", 0, "admit", 25_000]],
  ["a renewal may be refused once, too", [...live, "got needs_auth", "asked", ["got error", { code: "bad-token" }]], ["asking", "connecting", 0, "ask", 10_000]],
  [
    "once in each renewal",
    [...live, "got needs_auth", "asked", ["got error", { code: "bad-token" }], "asked", "got renewed", "got needs_auth", "asked", ["got error", { code: "bad-token" }]],
    ["asking", "connecting", 0, "ask", 10_000],
  ],

  ["a WebSocket that is stopped has a second try", ["want", ...blocked], ["dialing", "connecting", 0, "dial", 10_000]],
  ["then it is SSE's turn", ["want", ...blocked, ...blocked], ["dialing", "connecting", 1, "dial", 10_000]],
  ["one that is swallowed has none", ["want", "alarm", "through"], ["dialing", "connecting", 1, "dial", 10_000]],
  ["a server that does not run is no reason for it", ["want", "lost", "failed"], ["waiting", "offline", 0, "hangup", 250]],
  ["a WebSocket that says nothing has a second try", [...greeting, "alarm"], ["dialing", "connecting", 0, "dial", 10_000]],
  ["and is given up then", [...greeting, "alarm", "opened", "asked", "alarm"], ["dialing", "connecting", 1, "dial", 10_000]],
  ["one that is cut before the hello, too", [...greeting, ["lost", { code: 1006 }], "opened", "asked", ["lost", { code: 1006 }]], ["dialing", "connecting", 1, "dial", 10_000]],
  ["unless the server has closed it", [...greeting, ["lost", { code: 4503 }]], ["waiting", "offline", 0, "hangup", 250]],
  ["a browser without WebSockets goes on", ["want", "failed"], ["dialing", "connecting", 1, "dial", 10_000]],
  ["SSE is live", overSse, ["live", "live", 1, "admit", 25_000]],
  ["a stream that says nothing is buffered: long-poll", overSse.slice(0, -1).concat("alarm"), ["dialing", "connecting", 2, "dial", 10_000]],
  ["so is one that falls silent", [...overSse, ["alarm", { now: 35_000 }]], ["dialing", "connecting", 2, "dial", 10_000]],
  ["but not after a sleep", [...overSse, ["alarm", { now: 45_000 }]], ["waiting", "offline", 1, "hangup", 250]],
  ["a stream that breaks comes back as a stream", [...overSse, ["lost", { code: 1006 }], "alarm"], ["dialing", "offline", 1, "dial", 10_000]],
  ["a stream that does not begin is no stream", [...overSse.slice(0, -1), ["lost", { code: 1006 }]], ["dialing", "connecting", 2, "dial", 10_000]],
  ["a refusal over it is a refusal", [...overSse.slice(0, -1), ["got error", refusal]], ["refused", "refused", 1, "hangup", undefined]],
  ["a poll is live", overPoll, ["live", "live", 2, "admit", 25_000]],
  ["where nothing gets through it waits, and begins anew", [...overPoll.slice(0, -1), ["lost", { code: 1006 }]], ["waiting", "offline", 0, "hangup", 250]],
  ["a silent poll is lost", [...overPoll, ["alarm", { now: 35_000 }]], ["waiting", "offline", 2, "hangup", 250]],
  ["another network is another chance", [...overPoll, "offline", "online"], ["dialing", "offline", 0, "dial", 10_000]],
  ["waking up is not", [...overPoll, "freeze", "wake"], ["dialing", "offline", 2, "dial", 10_000]],
  ["a better one that gets through by now is taken", [...overPoll, ["better", { rank: 1 }]], ["dialing", "connecting", 1, "dial", 10_000]],
])
  test(name, () => assert.deepEqual(told(run(idle, ...events)), expected))

test("the only transport that may be used is tried again and again", () => {
  const only = start(["sse"])
  assert.deepEqual(told(run(only, "want", "opened", "asked", "alarm")), ["dialing", "connecting", 0, "dial", 10_000])
  assert.deepEqual(told(run(only, "want", "opened", "asked", "alarm", "opened", "asked", "alarm")), ["waiting", "offline", 0, "hangup", 250])
})

test("a client that remembers begins with what worked", () => {
  assert.deepEqual(told(run(start(NAMES, 2), "want")), ["dialing", "connecting", 2, "dial", 10_000])
})

test("it pings once in each interval, whatever it hears, and listens for ten seconds more", () => {
  let [state, , wait] = run(idle, ...greeting, hello)
  const acts = []
  for (let now = 0; acts.length < 6; ) {
    now += wait
    if (now < 60_000) [state] = decide(state, "heard", { ...at, now })
    let act
    ;[state, act, wait] = decide(state, "alarm", { ...at, now })
    acts.push([now, act])
    if (act === "hangup") break
  }
  assert.deepEqual(acts, [[25_000, "beat"], [50_000, "beat"], [75_000, "beat"], [85_000, "hangup"]])
})

test("tries are forgotten after ten seconds of life", () => {
  const down = [...EXAMPLES.waiting, "alarm", "opened", "asked", hello]
  assert.equal(run(idle, ...down, ["lost", { code: 1006, now: 9999, random: 1 }])[2], 1000)
  assert.equal(run(idle, ...down, ["lost", { code: 1006, now: 10_000, random: 1 }])[2], 500)
})

test("the jitter is full: from nothing to the doubling limit, 30 s at most", () => {
  const limits = { 0: 500, 1: 1000, 2: 2000, 5: 16_000, 6: 30_000, 60: 30_000, 2000: 30_000 }
  for (const [tries, limit] of Object.entries(limits)) {
    assert.equal(backoff(tries, 0), 0)
    assert.equal(backoff(tries, 1), limit)
  }
})
