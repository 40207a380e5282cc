/** Those that are named, in their own order; all if none is. @throws Error in words for the user */
export function pick<T extends { readonly name: string }>(
  all: readonly T[],
  names: readonly string[],
  what: string,
): T[] {
  const unknown = names.find((name) => !all.some((one) => one.name === name));
  if (unknown !== undefined) {
    throw new Error(`no ${what} "${unknown}"; there are ${all.map(({ name }) => name).join(', ')}`);
  }
  return all.filter(({ name }) => names.length === 0 || names.includes(name));
}

/** A whole number of an option. @throws Error in words for the user */
export function integer(option: string, text: string, max: number, min = 1): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < min || value > max) {
    throw new Error(`${option} is a whole number from ${min} to ${max}, not "${text}"`);
  }
  return value;
}
