import { sharedMs, type Word, type Words } from './talker.ts';

/** What one process has said and heard since it was last asked. */
export class Recorder {
  #said: Word[] = [];
  #heard: Word[] = [];

  get heardCount(): number {
    return this.#heard.length;
  }

  said(key: string, version: number): void {
    this.#said.push([key, version, sharedMs()]);
  }

  heard(key: string, version: number): void {
    this.#heard.push([key, version, sharedMs()]);
  }

  take(): Words {
    const words = { said: this.#said, heard: this.#heard };
    this.#said = [];
    this.#heard = [];
    return words;
  }
}
