/** A hidden page gets no frames, but its title is seen. */
const NO_FRAME_MS = 200;

/** Returns a function that has `draw` called once for many calls: before the next frame. */
export function oncePerFrame(draw: () => void): () => void {
  let isDue = false;
  return () => {
    if (isDue) return;
    isDue = true;
    const run = () => {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
      isDue = false;
      draw();
    };
    const frame = requestAnimationFrame(run);
    const timer = setTimeout(run, NO_FRAME_MS);
  };
}
