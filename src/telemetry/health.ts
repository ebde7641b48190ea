export interface PartHealth {
  readonly status: 'ok' | 'down';
  /** Why, where there is something to say. */
  readonly message?: string;
}

export interface HealthReport {
  /** `degraded` when any part is down, required or not. */
  readonly status: 'ok' | 'degraded';
  /** Whether work should be sent here: every required part is ok, and the node is not draining. */
  readonly ready: boolean;
  /** While the node drains, one named `node` says so. */
  readonly parts: Readonly<Record<string, PartHealth>>;
}

/** How a part tells its state. Only changes matter; telling the same twice does nothing. */
export interface HealthPart {
  ok(message?: string): void;
  down(message: string): void;
}

const NOT_STARTED: PartHealth = { status: 'down', message: 'not started yet' };
const DRAINING: PartHealth = { status: 'down', message: 'the node is stopping: nothing new is accepted' };

/** Keeps what each part of the node said last of itself. Asks nobody, so it answers at once whatever hangs. */
export class Health {
  readonly #parts = new Map<string, { readonly isRequired: boolean; health: PartHealth }>();
  #isDraining = false;

  /** Registers a part, which is down until it says otherwise. Registering a name again replaces it. */
  register(name: string, options: { readonly isRequired: boolean }): HealthPart {
    const part = { isRequired: options.isRequired, health: NOT_STARTED };
    this.#parts.set(name, part);
    return {
      ok: (message) => void (part.health = { status: 'ok', ...(message === undefined ? {} : { message }) }),
      down: (message) => void (part.health = { status: 'down', message }),
    };
  }

  /** From now on the node is not ready. There is no way back: a drained node ends. */
  drain(): void {
    this.#isDraining = true;
  }

  report(): HealthReport {
    const parts = [...this.#parts];
    const isDown = ([, part]: (typeof parts)[number]): boolean => part.health.status === 'down';
    return {
      status: parts.some(isDown) ? 'degraded' : 'ok',
      ready: !this.#isDraining && !parts.some((entry) => entry[1].isRequired && isDown(entry)),
      parts: {
        ...Object.fromEntries(parts.map(([name, part]) => [name, part.health])),
        ...(this.#isDraining && { node: DRAINING }),
      },
    };
  }
}
