/** A node that was not heard for so long may be gone, ms: four of its signs of life. */
export const SILENT_MS = 20_000;
