/** Polls until a condition holds; the only waiting that the end-to-end tests do. */
export async function waitFor(
  what: string,
  timeoutMs: number,
  condition: () => boolean | Promise<boolean>,
  everyMs = 25,
): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  let lastError: unknown = null;
  while (performance.now() < endMs) {
    try {
      if (await condition()) return;
    } catch (error) {
      lastError = error;
      if (error instanceof Error && error.message.startsWith('minikv local ended')) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
  const cause = lastError instanceof Error ? `; last: ${lastError.message}` : '';
  throw new Error(`timed out after ${timeoutMs} ms waiting for: ${what}${cause}`);
}
