/** As much of protocol buffers as gossip is made of: fields that have a length. */

/** An unsigned number of up to 32 bits. */
export function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 0x80; left >>>= 7) bytes.push((left & 0x7f) | 0x80);
  return Uint8Array.from([...bytes, left]);
}

export function field(number: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of((number << 3) | 2), varint(bytes.length), bytes]);
}

/** Every value of one field, of a message whose fields all have a length or are numbers. */
export function fieldsOf(message: Uint8Array, wanted: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  let place = 0;
  const read = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = message[place++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (place < message.length) {
    const tag = read();
    const length = read();
    if ((tag & 7) !== 2) continue;
    if (tag >> 3 === wanted) found.push(message.subarray(place, place + length));
    place += length;
  }
  return found;
}
