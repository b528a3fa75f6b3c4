/** Asks the server to write something; what was written comes back through the collection, as it does for everybody. */

/** `marks` are the client's headers: the commit is then the page's own. */
export async function send(method, url, body, marks) {
  const request = { method, headers: { "Content-Type": "application/json", ...marks } }
  if (method !== "GET") request.body = JSON.stringify(body)
  const response = await fetch(url, request).catch(() => {
    throw new Error("The server cannot be reached. Nothing was changed.")
  })
  if (response.status === 204) return {}
  const answer = await response.json().catch(() => ({}))
  if (!response.ok) throw new Error(answer.error ?? answer.detail?.[0].msg ?? answer.detail ?? "The server failed. Nothing was changed.")
  return answer
}
