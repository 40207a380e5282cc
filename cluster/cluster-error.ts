/** Something can't be done, for a reason that whoever asked can do something about. */
export class ClusterError extends Error {
  override readonly name = 'ClusterError';
}
