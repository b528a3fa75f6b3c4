/** Signs in whoever is clicked on, and reloads: the connection then says who it is with the new cookie. */

import { send } from "./send.js"

for (const button of document.querySelectorAll("button[data-user]")) {
  button.addEventListener("click", async () => {
    try {
      await send("POST", "/session", { user: Number(button.dataset.user) })
      window.top.location.reload() // all frames of it, since they share the cookie
    } catch (error) {
      const notice = document.querySelector(".notice")
      notice.textContent = error.message
      notice.hidden = false
    }
  })
  button.disabled = false // until now a click would have been lost
}
