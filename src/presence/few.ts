/** A set of which one member is the rule, and then costs a reference only. Members are no Sets themselves. */
export type Few<T extends object | string> = T | Set<T> | undefined;

export function includes<T extends object | string>(few: Few<T>, item: T): boolean {
  return isSet(few) ? few.has(item) : few === item;
}

/** The set with the item; the one given is not to be used any more. */
export function including<T extends object | string>(few: Few<T>, item: T): Few<T> {
  if (few === undefined) return item;
  if (isSet(few)) return few.add(item);
  return few === item ? few : new Set([few, item]);
}

/** The set without the item; the one given is not to be used any more. */
export function excluding<T extends object | string>(few: Few<T>, item: T): Few<T> {
  if (!isSet(few)) return few === item ? undefined : few;
  few.delete(item);
  if (few.size > 1) return few;
  const [last] = few;
  return last;
}

/** The members now, also if the set changes while they are gone through. */
export function members<T extends object | string>(few: Few<T>): readonly T[] {
  if (few === undefined) return [];
  return isSet(few) ? [...few] : [few];
}

function isSet<T extends object | string>(few: Few<T>): few is Set<T> {
  return few instanceof Set;
}
