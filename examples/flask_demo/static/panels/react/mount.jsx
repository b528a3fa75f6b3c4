/** The panel of React, in StrictMode: while one develops, it mounts every component twice. */

import { StrictMode } from "react"
import { createRoot } from "react-dom/client"
import { Pages } from "./Pages.jsx"

export function mount(target, properties) {
  const root = createRoot(target)
  root.render(<StrictMode><Pages {...properties} /></StrictMode>)
  return () => root.unmount()
}
