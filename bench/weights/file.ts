/** Writes a file front to back. */
export class FileWriter implements Disposable {
  readonly #file: Deno.FsFile;
  #position = 0;

  constructor(path: string) {
    this.#file = Deno.openSync(path, { create: true, truncate: true, write: true });
  }

  /** Bytes written so far. */
  get position(): number {
    return this.#position;
  }

  write(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) done += this.#file.writeSync(bytes.subarray(done));
    this.#position += bytes.length;
  }

  /** Writes zeros up to the next multiple of `alignment`. */
  align(alignment: number): void {
    this.write(new Uint8Array((alignment - this.#position % alignment) % alignment));
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}
