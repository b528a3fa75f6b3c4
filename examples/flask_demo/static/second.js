/** A machine has two names, and a cookie for each: in the second window you can be somebody else. */

const other = { "127.0.0.1": "localhost", localhost: "127.0.0.1" }[location.hostname]
if (other) document.getElementById("second").hostname = other
