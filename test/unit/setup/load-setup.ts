/**
 * Loads a module of the set-up. Those are plain JavaScript, because they run before there is a Node that reads
 * TypeScript; each test states the shape of what it uses.
 */
export async function loadSetup<Module>(file: string): Promise<Module> {
  return (await import(new URL(`../../../cmd/setup/${file}`, import.meta.url).href)) as Module;
}
