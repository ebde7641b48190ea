export interface Turns<Name extends string> {
  readonly rounds: number;
  /** Rounds before those that count: compilers, caches and clocks settle. */
  readonly warmUps: number;
  /** In the order in which they are measured. */
  readonly contestants: Readonly<Record<Name, () => Promise<number>>>;
  /** After each of them, outside what is measured. */
  readonly afterEach?: () => Promise<void>;
  readonly onRound?: (done: number, total: number) => void;
}

/** Measures all of them in turn, A B C A B C, so that whatever else the machine does meets each of them. */
export async function takeTurns<Name extends string>(turns: Turns<Name>): Promise<Record<Name, number>[]> {
  const { rounds, warmUps, contestants, afterEach, onRound } = turns;
  const all: Record<Name, number>[] = [];
  for (let done = 0; done < warmUps + rounds; done += 1) {
    onRound?.(done, warmUps + rounds);
    const round: Partial<Record<Name, number>> = {};
    for (const name of Object.keys(contestants) as Name[]) {
      round[name] = await contestants[name]();
      await afterEach?.();
    }
    all.push(round as Record<Name, number>);
  }
  return all.slice(warmUps);
}
