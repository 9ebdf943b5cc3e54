// Echoes by gorilla/websocket: `gorilla [CERTIFICATE KEY]`; prints its address first.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/gorilla/websocket"
)

func main() {
	upgrader := websocket.Upgrader{EnableCompression: true}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		socket, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer socket.Close()
		for {
			kind, data, err := socket.ReadMessage()
			if err != nil || socket.WriteMessage(kind, data) != nil {
				return
			}
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	if len(os.Args) > 1 {
		panic(http.ServeTLS(listener, nil, os.Args[1], os.Args[2]))
	}
	panic(http.Serve(listener, nil))
}
