/** Ids of nodes all begin alike; their ends tell them apart. */
const MIN_SHORT_ID_LENGTH = 8;

/** The shortest end of each id, of 8 characters at least, that no other of them has. */
export function shortNodeIds(ids: readonly string[]): ReadonlyMap<string, string> {
  const distinct = [...new Set(ids)];
  return new Map(distinct.map((id) => [id, shortestEnd(id, distinct)]));
}

/** The end of one id that stands by itself. */
export function endOfNodeId(id: string): string {
  return id.slice(-MIN_SHORT_ID_LENGTH);
}

function shortestEnd(id: string, all: readonly string[]): string {
  for (let length = MIN_SHORT_ID_LENGTH; length < id.length; length += 1) {
    const end = id.slice(-length);
    if (all.every((other) => other === id || !other.endsWith(end))) return end;
  }
  return id;
}
