// A small client of a service that keeps settings: it tries again until it has the whole value.

/** The value that the service has, or an error after three attempts of a second. */
export async function get(address) {
  let failure;
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const response = await fetch(`http://${address}/limit`, {
        headers: { connection: "close" },
        signal: AbortSignal.timeout(1000),
      });
      if (response.ok) return await response.text();
      failure = new Error(`status ${response.status}`);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** The same, and takes what it has got for the whole: streams are easily read like that. */
export async function getCarelessly(address) {
  const response = await fetch(`http://${address}/limit`, { headers: { connection: "close" } });
  let value = "";
  try {
    for await (const chunk of response.body) value += Buffer.from(chunk).toString();
  } catch {
    // "terminated": there is no more
  }
  return value;
}
