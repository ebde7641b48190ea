import { systemClock, type Clock } from '../../src/kernel/clock.ts';

/** Every pause is a tenth of what it is. */
export const HURRIED_CLOCK: Clock = {
  ...systemClock,
  after: (delayMs, action) => systemClock.after(delayMs / 10, action),
};
