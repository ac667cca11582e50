/** Checks until it holds; fails with what the check says when it has not held in time. */
export async function eventually(check, within = 20_000) {
  const deadline = Date.now() + within;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
